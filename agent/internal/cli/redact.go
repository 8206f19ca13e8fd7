package cli

import "regexp"

// redact takes out of a text what could be a secret: PEM blocks, bearer tokens,
// credentials in URLs, and the values of options whose name says so. It rather
// takes too much.
func redact(text string) string {
	for _, r := range []struct{ what, with string }{
		{`(?s)-----BEGIN [^-]+-----.*?-----END [^-]+-----`, "<redacted>"},
		{`(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{8,}`, "$1 <redacted>"},
		{`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`, "<redacted>"},
		{`://[^/\s@"]+@`, "://<redacted>@"},
		{`(?i)([\w.-]*(?:pass|secret|token|cred|key|auth)[\w.-]*)=[^,\s"]+`, "$1=<redacted>"},
		{`(?i)("[\w.-]*(?:password|secret|token|credential|private)[\w.-]*" *: *)"[^"]*"`, `$1"<redacted>"`},
	} {
		text = regexp.MustCompile(r.what).ReplaceAllString(text, r.with)
	}
	return text
}
