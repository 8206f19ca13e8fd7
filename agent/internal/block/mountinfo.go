package block

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

// readMounts reads a mountinfo file until it reads the same twice: the kernel
// hands it out in pieces, between which mounts come and go.
func readMounts(path string) ([]mount.MountInfo, error) {
	const attempts = 5
	text, err := os.ReadFile(path)
	for n := 0; err == nil && n < attempts; n++ {
		before := text
		if text, err = os.ReadFile(path); err == nil && bytes.Equal(before, text) {
			return parseMounts(text)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	return nil, fmt.Errorf("read mounts from %s: they changed during each of %d attempts", path, attempts)
}

// parseMounts has mount-utils parse a mountinfo file's text, and takes the
// octal escapes out of its paths.
func parseMounts(text []byte) ([]mount.MountInfo, error) {
	fd, err := unix.MemfdCreate("mountinfo", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "mountinfo")
	defer file.Close()
	if _, err := file.Write(mend(text)); err != nil {
		return nil, fmt.Errorf("write file in memory: %w", err)
	}
	mounts, err := mount.ParseMountInfo(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, fmt.Errorf("parse mounts: %w", err)
	}
	for i := range mounts {
		m := &mounts[i]
		if m.ID < 0 || m.ParentID < 0 || m.Major < 0 || m.Minor < 0 {
			return nil, fmt.Errorf("parse mounts: mount %d of device %d:%d has a negative number", m.ID, m.Major, m.Minor)
		}
		m.Root, m.MountPoint, m.Source = unescape(m.Root), unescape(m.MountPoint), unescape(m.Source)
	}
	return mounts, nil
}

// mend escapes what mount-utils would split where the kernel does not: it takes
// any white space for a separator, while the kernel's is one blank, and escapes
// nothing but blanks, tabs and newlines. A pod chooses its mount paths, and may
// choose one with a no-break space. And a source may be empty.
func mend(text []byte) []byte {
	lines := strings.SplitAfter(string(text), "\n")
	for i, line := range lines {
		body, end := strings.CutSuffix(line, "\n")
		if strings.Contains(body, " - ") && !strings.ContainsFunc(body, odd) && !strings.Contains(body, "  ") {
			continue
		}
		fields := strings.Split(body, " ")
		for j, f := range fields {
			if f == "" && j > 0 {
				f = "none" // as the kernel calls it where there was none at all
			}
			fields[j] = escape(f)
		}
		lines[i] = strings.Join(fields, " ")
		if end {
			lines[i] += "\n"
		}
	}
	return []byte(strings.Join(lines, ""))
}

func odd(r rune) bool { return r != ' ' && unicode.IsSpace(r) }

// escape writes that white space as mountinfo's octal escapes.
func escape(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		for _, c := range []byte(s[:n]) {
			if odd(r) {
				fmt.Fprintf(&b, `\%03o`, c)
			} else {
				b.WriteByte(c)
			}
		}
		s = s[n:]
	}
	return b.String()
}

// unescape turns mountinfo's octal escapes (\040 for a blank) into the bytes
// that they stand for. What is no such escape stays as it is.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && s[i+1] <= '3' && octal(s[i+2]) && octal(s[i+3]) {
			out = append(out, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func octal(c byte) bool { return '0' <= c && c <= '7' }
