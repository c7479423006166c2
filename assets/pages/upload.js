"use strict";
(() => {
  const piece = 8 << 20;          // bytes sent at a time
  const patience = [1, 2, 5, 10]; // seconds before another try, the last one again and again
  const input = document.getElementById("files");
  const drop = document.getElementById("drop");
  const list = document.getElementById("list");
  document.getElementById("send").hidden = true;
  document.getElementById("hint").hidden = false;

  const wait = seconds => new Promise(done => setTimeout(done, seconds * 1000));
  const ask = (to, method, headers, body, signal) =>
    fetch(to, {method, headers: {Accept: "application/json", ...headers}, body, signal});
  const why = async answer => {
    try { return (await answer.json()).message; } catch { return "It was not taken (" + answer.status + ")."; }
  };

  // again does something until it is answered, over lost connections.
  async function again(row, what) {
    for (let n = 0; ; n++) {
      try {
        const answer = await what();
        if (answer.status !== 503 && answer.status !== 408) return answer;
      } catch (err) {
        if (err.name === "AbortError") throw err;
      }
      row.say("The connection is lost: it goes on by itself.");
      await wait(patience[Math.min(n, patience.length - 1)]);
    }
  }

  async function send(file, row, signal) {
    const most = Number(input.dataset.most);
    if (most && file.size > most) return row.end("It is too large: at most " + input.dataset.words + ".", "wrong");
    let answer = await again(row, () => ask("./?upload=new", "POST",
      {"Upload-Length": String(file.size), "Upload-Name": encodeURIComponent(file.name)}, null, signal));
    if (answer.status !== 201) return row.end(await why(answer), "wrong");
    const to = "./" + answer.headers.get("Location");
    row.stop = () => { ask(to, "DELETE", {}).catch(() => {}); };
    for (let at = 0; ;) {
      answer = await again(row, async () => {
        let got = await ask(to, "PATCH", {"Upload-Offset": String(at), "Content-Type": "application/offset+octet-stream"},
          file.slice(at, at + piece), signal);
        if (got.status === 409 || got.status === 400) { // a piece had arrived, or a part of it
          const now = await ask(to, "HEAD", {}, null, signal);
          if (now.ok) {
            at = Number(now.headers.get("Upload-Offset"));
            got = await ask(to, "PATCH", {"Upload-Offset": String(at)}, file.slice(at, at + piece), signal);
          }
        }
        return got;
      });
      if (answer.status === 201) {
        return row.end("Added as " + decodeURIComponent(answer.headers.get("Upload-Name")) + ".", "done");
      }
      if (answer.status !== 204) return row.end(await why(answer), "wrong");
      at = Number(answer.headers.get("Upload-Offset"));
      row.show(at / file.size);
    }
  }

  function rowOf(file) {
    const li = document.createElement("li");
    const name = document.createElement("div");
    name.textContent = file.name;
    const bar = document.createElement("progress");
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", file.name);
    const said = document.createElement("div");
    const cancel = document.createElement("button");
    cancel.type = "button";
    cancel.textContent = "Cancel";
    cancel.setAttribute("aria-label", "Cancel " + file.name);
    li.append(name, bar, said, cancel);
    list.append(li);
    const abort = new AbortController();
    const row = {
      stop() {},
      say(text) { said.textContent = text; },
      show(part) { bar.value = part; said.textContent = Math.floor(part * 100) + " %"; },
      end(text, how) { bar.remove(); cancel.remove(); said.textContent = text; said.className = how; },
    };
    cancel.addEventListener("click", () => { abort.abort(); row.stop(); });
    return [row, abort.signal];
  }

  let queue = Promise.resolve(); // one after the other
  function add(files) {
    for (const file of files) {
      const [row, signal] = rowOf(file);
      queue = queue.then(() => {
        signal.throwIfAborted();
        return send(file, row, signal);
      }).catch(err => row.end(err.name === "AbortError" ? "Cancelled." : "It could not be read: choose it again.", "wrong"));
    }
  }

  input.addEventListener("change", () => { add(input.files); input.value = ""; });
  for (const type of ["dragenter", "dragover"]) {
    addEventListener(type, e => { e.preventDefault(); drop.classList.add("over"); });
  }
  for (const type of ["dragleave", "drop"]) {
    addEventListener(type, e => { e.preventDefault(); drop.classList.remove("over"); });
  }
  addEventListener("drop", e => add(e.dataTransfer.files));
})();
