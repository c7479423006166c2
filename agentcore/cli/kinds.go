package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
)

// kindCommand is a command of `sharetray share`.
type kindCommand struct {
	kind             share.Kind
	use, short, long string
	example          string
	args             cobra.PositionalArgs
	target           func(args []string) (string, error)
	completes        cobra.ShellCompDirective
	on               [][4]string // flag, key, value, usage: a switch
	values           [][3]string // flag, key, usage: one value
	lists            [][3]string // flag, key, usage: given again for more
	keys             func(args []string) (map[string]string, error)
}

var kindCommands = []kindCommand{
	{
		kind: share.Web, use: "web DIR", short: "Shares a folder, as web pages and listings",
		long: `Shares a folder. A browser shows its pages, or lists its files where there is no
index.html. Files whose names begin with a dot stay hidden, and nothing outside
the folder is ever served. With --upload, visitors can add files: by drag and
drop, or with ` + "`curl -T FILE LINK`" + `.`,
		example: `  sharetray share web .
  sharetray share web ~/Pictures --name holiday --reach lan
  sharetray share web ~/Inbox --upload --max-upload 2GB`,
		args: wants(1, false, "DIR"), target: folder, completes: cobra.ShellCompDirectiveFilterDirs,
		on: [][4]string{
			{"hidden-files", "hidden_files", "true", "serve files whose names begin with a dot, too"},
			{"no-listing", "listing", "false", "list no files: only what is known by name can be had"},
			{"upload", "upload", "true", "let visitors add files"},
			{"overwrite", "overwrite", "true", "let what they add replace files of the same name"},
			{"show-uploads", "show_uploads", "true", "let them see what others have added"},
		},
		values: uploadFlags,
	},
	{
		kind: share.Drive, use: "drive DIR", short: "Shares a folder, as a drive that can be mounted (WebDAV)",
		long: `Shares a folder over WebDAV: file managers of every system mount it, and a browser
lists it. It can only be read, unless --writable is given.`,
		example: `  sharetray share drive ~/Documents --reach lan --password
  sharetray share drive ~/Scratch --writable`,
		args: wants(1, false, "DIR"), target: folder, completes: cobra.ShellCompDirectiveFilterDirs,
		on: [][4]string{
			{"writable", "writable", "true", "let visitors change, add and remove files"},
			{"hidden-files", "hidden_files", "true", "share files whose names begin with a dot, too"},
		},
		values: uploadFlags,
	},
	{
		kind: share.Proxy, use: "proxy PORT|URL", short: "Shares a web app that runs on a port, or at an address",
		long: `Shares a web app that already runs: by its port on this computer, or its address.
While the app is down, visitors see a page that waits for it.`,
		example: `  sharetray share proxy 3000
  sharetray share proxy https://localhost:8443 --no-verify-tls --name shop`,
		args: wants(1, false, "3000"), target: asGiven,
		on: [][4]string{{"no-verify-tls", "verify_tls", "false", "accept any certificate from an https app"}},
	},
	{
		kind: share.Caddy, use: "caddy FILE", short: "Shares what a Caddyfile says",
		long: `Serves a Caddyfile, or Caddy's own JSON. The agent holds the ports that it asks for,
so that they refuse nobody while the process that serves is replaced. Sites without
a port get the share's own. The admin endpoint is always off.`,
		example: `  sharetray share caddy ./Caddyfile`,
		args:    wants(1, false, "FILE"), target: file, completes: cobra.ShellCompDirectiveDefault,
	},
	{
		kind: share.TCP, use: "tcp ADDR", short: "Shares a port: every connection goes to an address",
		long: `Forwards each connection to an address, of this computer or any that it can reach.`,
		example: `  sharetray share tcp 5432
  sharetray share tcp db.example.org:5432 --port 15432`,
		args: wants(1, false, "5432"), target: asGiven,
		values: [][3]string{{"idle", "idle", "cut a connection without a byte for so long, such as 1h"}},
	},
	{
		kind: share.UDP, use: "udp ADDR", short: "Shares a port for datagrams",
		long:    `Forwards datagrams to an address, and its answers back to who has asked.`,
		example: `  sharetray share udp 127.0.0.1:9999`,
		args:    wants(1, false, "9999"), target: asGiven,
		values: [][3]string{
			{"idle", "idle", "forget a visitor who is silent for so long, such as 1m"},
			{"sessions", "sessions", "how many visitors are served at the same time"},
		},
	},
	{
		kind: share.SOCKS, use: "socks", short: "Shares the way to other addresses (SOCKS5)",
		long:    `A SOCKS5 proxy, which leads to the destinations that --to allows, and nowhere else.`,
		example: `  sharetray share socks --to intranet.example.org:443 --password`,
		args:    noArgs, target: func([]string) (string, error) { return "", nil },
		values: [][3]string{{"idle", "idle", "cut a connection without a byte for so long, such as 1h"}},
		lists:  [][3]string{{"to", "destinations", "where visitors may go, such as `HOST:PORT` (repeatable)"}},
	},
	{
		kind: share.Command, use: "command -- CMD ARG…", short: "Runs a program and shares it",
		long: `Runs a program, keeps it up, and shares the port on which it serves: {port} in its
arguments, and PORT in its environment, say which that is. A program that makes a
link of its own (ssh -R, cloudflared, ngrok) needs --ready started.`,
		example: `  sharetray share command -- python3 -m http.server --bind 127.0.0.1 {port}
  sharetray share command --watch '**/*.js' -- node server.js`,
		args:   wants(1, true, "-- python3 -m http.server {port}"),
		target: func(args []string) (string, error) { return share.JoinCommand(args), nil },
		on:     [][4]string{},
		values: [][3]string{
			{"dir", "dir", "where it runs (default: the folder you are in)"},
			{"ready", "ready", "when it can be visited: port, http, line or started"},
			{"ready-path", "ready_path", "with --ready http: the path that must answer"},
			{"ready-line", "ready_line", "with --ready line: what it prints, a regular expression"},
			{"ready-timeout", "ready_timeout", "for how long that is waited for"},
			{"link-pattern", "link_pattern", "how to find its own link in what it prints"},
		},
		lists: [][3]string{
			{"env", "env", "`NAME=VALUE` in its environment (repeatable)"},
			{"watch", "watch", "`FILES` that restart it, such as '**/*.go' (repeatable)"},
		},
		keys: commandKeys,
	},
}

// uploadFlags bound what visitors add to a folder.
var uploadFlags = [][3]string{
	{"max-upload", "max_upload", "the largest file that may be added, such as 100MB"},
	{"downloads", "downloads", "end it after so many finished downloads"},
}

// httpFlags are those of all kinds to which visitors speak HTTP.
var (
	httpLists = [][3]string{{"host", "hosts", "a further `NAME` that it answers to (repeatable)"}}
	httpOn    = [][4]string{
		{"secret", "secret", "new", "make a secret link that opens it without a password"},
		{"no-access-log", "access_log", "false", "keep no log of requests"},
	}
	tlsValues = [][3]string{
		{"tls", "tls", "serve https: `local`, a certificate made here; own, yours"},
		{"tls-cert", "tls_cert", "the `FILE` with your certificate"},
		{"tls-key", "tls_key", "the `FILE` with its key"},
	}
)

func asGiven(args []string) (string, error) { return args[0], nil }

func folder(args []string) (string, error) {
	if args[0] == "" {
		return "", misusef("the folder's name is empty: `.` is the folder you are in")
	}
	return absolute(args[0])
}

func file(args []string) (string, error) {
	if args[0] == "" {
		return "", misusef("the file's name is empty: give the path of a Caddyfile")
	}
	return absolute(args[0])
}

// absolute is a path as the agent can find it, which stands elsewhere.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", problem.New(problem.Conflict, "it can't be told where %q is: %w", path, err)
	}
	return abs, nil
}

// commandKeys has a command run where the user is.
func commandKeys([]string) (map[string]string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, problem.New(problem.Conflict, "it can't be told in which folder you are: give --dir")
	}
	return map[string]string{"dir": dir}, nil
}

// pathKeys are keys whose value is a path.
var pathKeys = []string{"dir", "tls_cert", "tls_key"}

// absolutePaths makes the paths among keys, and a target that is one, absolute.
func absolutePaths(kind share.Kind, keys map[string]string) (err error) {
	for key, value := range keys {
		isPath := slices.Contains(pathKeys, key) || key == "target" && (kind.HasFolder() || kind == share.Caddy)
		if isPath && value != "" {
			if keys[key], err = absolute(value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *app) kindCommand(k kindCommand) *cobra.Command {
	f := shareFlags{kind: k}
	cmd := &cobra.Command{
		Use: k.use, Short: k.short, Long: k.long, Example: k.example, Args: k.args,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			if k.completes == 0 && k.kind != share.Caddy {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, k.completes
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := k.target(args)
			if err != nil {
				return err
			}
			keys := map[string]string{}
			if k.keys != nil {
				if keys, err = k.keys(args); err != nil {
					return err
				}
			}
			return a.share(cmd, &f, target, keys)
		},
	}
	f.add(cmd)
	return cmd
}

// kindsInUse is `sharetray share web DIR`, … in a sentence.
func kindsInUse() string {
	var uses []string
	for _, k := range kindCommands {
		uses = append(uses, "`sharetray share "+k.use+"`")
	}
	return strings.Join(uses[:len(uses)-1], ", ") + " or " + uses[len(uses)-1]
}
