// Keeps a page live. Everything works without it, by clicks and reloads.
"use strict";

const body = document.body;
const away = document.getElementById("away");
const status = document.getElementById("status");

// Times, as people say them, in the page's language.
const ago = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
function sayTimes(root) {
	for (const t of root.querySelectorAll("time[data-ago]")) {
		const then = new Date(t.dateTime);
		const s = (then - Date.now()) / 1000;
		const [n, unit] = s > -60 ? [s, "second"] : s > -3600 ? [s / 60, "minute"] : s > -86400 ? [s / 3600, "hour"] : [s / 86400, "day"];
		t.title = then.toLocaleString(document.documentElement.lang);
		t.textContent = ago.format(Math.min(0, Math.round(n)), unit);
	}
}
sayTimes(document);
setInterval(() => sayTimes(document), 10000);

// Replaces a piece of the page, unless it is there already. What had the focus has
// it again, what was folded open stays so, and a click that is under way is not lost.
let pressed = false;
let waiting = [];
addEventListener("pointerdown", () => { pressed = true; });
for (const end of ["pointerup", "pointercancel", "blur"]) {
	addEventListener(end, () => setTimeout(() => {
		pressed = false;
		const now = waiting;
		waiting = [];
		place(now);
	}, 0));
}
function place(pieces) {
	if (pressed) {
		waiting.push(...pieces);
		return;
	}
	for (const p of pieces) {
		const old = document.getElementById(p.id);
		if (!old || old.dataset.v === p.v) continue;
		const focus = old.contains(document.activeElement) ? document.activeElement : null;
		const key = focus?.closest("[data-focus]")?.dataset.focus;
		const holder = focus?.closest("[id]")?.id;
		const made = document.createElement("template");
		made.innerHTML = p.html;
		const fresh = made.content.firstElementChild;
		old.replaceWith(fresh);
		sayTimes(fresh);
		if (key) {
			const within = document.getElementById(holder) ?? fresh;
			(within.querySelector(`[data-focus="${key}"]`) ?? within.querySelector("[data-focus]"))?.focus();
		}
	}
}

// Listens to the server for as long as the page is looked at: browsers have only a few
// connections to one address, for all its pages. When the server is gone the page says
// so, and goes on when it is back.
function listen(address, on) {
	let source = null;
	let silence;
	const stop = () => {
		clearTimeout(silence);
		source?.close();
		source = null;
	};
	const lost = () => {
		away.hidden = false;
		stop();
		setTimeout(start, 1000);
	};
	const heard = () => {
		clearTimeout(silence);
		silence = setTimeout(lost, 20000);
	};
	const start = () => {
		if (source || document.hidden) return;
		source = new EventSource(address);
		source.onerror = lost;
		source.addEventListener("beat", heard);
		source.addEventListener("hello", (e) => {
			heard();
			away.hidden = true;
			on.hello?.();
			if (JSON.parse(e.data) !== body.dataset.version) location.reload();
		});
		for (const [name, f] of Object.entries(on)) {
			if (name !== "hello") source.addEventListener(name, (e) => { heard(); f(JSON.parse(e.data)); });
		}
	};
	document.addEventListener("visibilitychange", () => document.hidden ? stop() : start());
	addEventListener("pagehide", stop);
	start();
}
if (body.dataset.live) {
	const query = body.dataset.live === "all" ? "" : "?" + body.dataset.live;
	listen("/live" + query, { pieces: place });
}
// A page that comes back from the browser's memory is of the past.
addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });

// The log: new lines at the end, and only those that are looked for.
const log = document.getElementById("log");
if (log) {
	const most = 2000;
	const find = document.getElementById("find");
	const found = document.getElementById("found");
	const match = (line) => { line.hidden = !line.textContent.toLowerCase().includes(find.value.toLowerCase()); };
	const count = () => {
		const n = [...log.children].filter((l) => !l.hidden).length;
		found.textContent = find.value === "" ? "" : found.dataset.some.replace("{1}", n);
	};
	const atEnd = () => log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
	find.addEventListener("input", () => { for (const l of log.children) match(l); count(); });
	log.scrollTop = log.scrollHeight;
	let anew = false; // what comes is the whole end of the log
	listen(log.dataset.live, {
		hello() { anew = true; },
		lines(lines) {
			const follow = atEnd();
			if (anew) log.replaceChildren();
			anew = false;
			const more = document.createDocumentFragment();
			for (const text of lines) {
				const line = document.createElement("span");
				line.textContent = text + "\n";
				match(line);
				more.append(line);
			}
			log.append(more);
			while (log.childElementCount > most) log.firstElementChild.remove();
			document.getElementById("nolines").hidden = true;
			if (follow) log.scrollTop = log.scrollHeight;
			count();
		},
	});
}

// Clicks.
async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		const area = document.createElement("textarea");
		area.value = text;
		body.append(area);
		area.select();
		document.execCommand("copy");
		area.remove();
	}
}
addEventListener("click", async (e) => {
	const b = e.target.closest?.("button");
	if (!b) return;
	if (b.dataset.copy !== undefined) {
		await copy(b.dataset.copy);
		status.textContent = "";
		status.textContent = body.dataset.copied;
		const label = b.textContent;
		b.textContent = "✓";
		setTimeout(() => { b.textContent = label; b.focus(); }, 1200);
	} else if (b.dataset.fill) {
		document.getElementById(b.dataset.fill).value = b.dataset.value;
	} else if (b.dataset.choose) {
		b.disabled = true;
		const answer = await fetch("/choose", { method: "POST" }).catch(() => null);
		b.disabled = false;
		if (answer?.status === 200) document.getElementById(b.dataset.choose).value = await answer.text();
		else if (answer?.status === 501) { b.hidden = true; status.textContent = await answer.text(); }
	}
});
for (const b of document.querySelectorAll("[data-fill], [data-choose]")) b.hidden = false;

// What is sent is sent once.
addEventListener("submit", (e) => {
	if (e.target.dataset.sent) e.preventDefault();
	e.target.dataset.sent = "1";
	setTimeout(() => { delete e.target.dataset.sent; }, 10000);
});

// A form that came back begins at its first fault.
document.querySelector("[aria-invalid]")?.focus();
