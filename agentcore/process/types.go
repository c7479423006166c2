package process

import (
	"fmt"
	"mime"
	"sync"
)

// types are content types that a system's own table lacks, or has wrong for the
// web (".ts" is a film to many). Everything else is the system's to say.
var types = map[string]string{
	".aac":         "audio/aac",
	".apk":         "application/vnd.android.package-archive",
	".avif":        "image/avif",
	".bmp":         "image/bmp",
	".css":         "text/css",
	".csv":         "text/csv",
	".epub":        "application/epub+zip",
	".flac":        "audio/flac",
	".geojson":     "application/geo+json",
	".gif":         "image/gif",
	".glb":         "model/gltf-binary",
	".gz":          "application/gzip",
	".heic":        "image/heic",
	".heif":        "image/heif",
	".htm":         "text/html",
	".html":        "text/html",
	".ico":         "image/vnd.microsoft.icon",
	".ics":         "text/calendar",
	".jpeg":        "image/jpeg",
	".jpg":         "image/jpeg",
	".js":          "text/javascript",
	".json":        "application/json",
	".jxl":         "image/jxl",
	".log":         "text/plain",
	".m4a":         "audio/mp4",
	".m4v":         "video/mp4",
	".map":         "application/json",
	".markdown":    "text/markdown",
	".md":          "text/markdown",
	".mjs":         "text/javascript",
	".mkv":         "video/matroska",
	".mov":         "video/quicktime",
	".mp3":         "audio/mpeg",
	".mp4":         "video/mp4",
	".oga":         "audio/ogg",
	".ogg":         "audio/ogg",
	".ogv":         "video/ogg",
	".opus":        "audio/ogg",
	".otf":         "font/otf",
	".pdf":         "application/pdf",
	".png":         "image/png",
	".rss":         "application/rss+xml",
	".svg":         "image/svg+xml",
	".tar":         "application/x-tar",
	".tif":         "image/tiff",
	".tiff":        "image/tiff",
	".toml":        "application/toml",
	".tsv":         "text/tab-separated-values",
	".ttf":         "font/ttf",
	".txt":         "text/plain",
	".vtt":         "text/vtt",
	".wasm":        "application/wasm",
	".wav":         "audio/wav",
	".weba":        "audio/webm",
	".webm":        "video/webm",
	".webmanifest": "application/manifest+json",
	".webp":        "image/webp",
	".woff":        "font/woff",
	".woff2":       "font/woff2",
	".xhtml":       "application/xhtml+xml",
	".xml":         "text/xml",
	".yaml":        "application/yaml",
	".yml":         "application/yaml",
	".zip":         "application/zip",
	".zst":         "application/zstd",
}

// addTypes reads the system's table, once, and adds ours. It takes 4 ms: a
// standby does it while it waits, any other process for its first visitor.
var addTypes = sync.OnceFunc(func() {
	for ext, typ := range types {
		if err := mime.AddExtensionType(ext, typ); err != nil {
			panic(fmt.Sprintf("content type of %s: %v", ext, err)) // the table above is wrong
		}
	}
})
