package gate

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// errNoKubeconfig means that no kubelet has ever joined from this host, or that
// its kubeconfig is where nobody told the gate to look.
var errNoKubeconfig = errors.New("no kubelet's kubeconfig")

// find returns the first file that exists.
func find(files []string) (string, error) {
	for _, f := range files {
		_, err := os.Stat(f)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the kubelet's kubeconfig: %w", err)
		}
	}
	return "", fmt.Errorf("%w among %s: if there is one, name it with --kubeconfig", errNoKubeconfig, strings.Join(files, ", "))
}

// load reads a kubeconfig and all files that it names. They are read once: who
// renews them is the kubelet, which does not run yet.
func load(file string) (*rest.Config, error) {
	rc, err := clientcmd.BuildConfigFromFlags("", file)
	if err == nil {
		err = rest.LoadTLSFiles(rc)
	}
	if err != nil {
		return nil, fmt.Errorf("read the kubelet's kubeconfig %s: %w", file, err)
	}
	rc.CAFile, rc.CertFile, rc.KeyFile = "", "", ""
	return rc, nil
}

// name returns the node's name: the given one, else the one to which the
// kubelet's certificate is bound and for which alone the API would answer, else
// the host's.
func name(given string, rc *rest.Config) (string, error) {
	if given != "" {
		return given, nil
	}
	if n := certified(rc.CertData); n != "" {
		return n, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find the node's name: %w", err)
	}
	return strings.ToLower(strings.TrimSpace(host)), nil
}

// certified returns NAME of the first certificate's user system:node:NAME, or
// nothing.
func certified(chain []byte) string {
	for {
		var block *pem.Block
		if block, chain = pem.Decode(chain); block == nil {
			return ""
		}
		if block.Type != "CERTIFICATE" {
			continue // the kubelet keeps its key in the same file
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return ""
		}
		node, _ := strings.CutPrefix(cert.Subject.CommonName, "system:node:")
		if node == cert.Subject.CommonName {
			return ""
		}
		return node
	}
}
