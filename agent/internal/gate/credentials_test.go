package gate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

const minimal = `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "https://example.com:6443"}}]
users: [{name: u, user: {token: t}}]
`

func writeFile(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFindTakesTheFirstThatExists(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if _, err := find([]string{a, b}); !errors.Is(err, errNoKubeconfig) || !strings.Contains(err.Error(), b) {
		t.Errorf("none exists: %v", err)
	}
	for _, file := range []string{b, a} {
		writeFile(t, file, minimal)
		if got, err := find([]string{a, b}); got != file || err != nil {
			t.Errorf("found %s, %v; want %s", got, err, file)
		}
	}
}

func TestNodeName(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host = strings.ToLower(host)
	for _, test := range []struct {
		name, given string
		chain       []byte
		want        string
	}{
		{"given", "n1", certificate(t, "system:node:n2"), "n1"},
		{"in the certificate", "", certificate(t, "system:node:n2"), "n2"},
		{"behind the key", "", append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY"}), certificate(t, "system:node:n2")...), "n2"},
		{"another user's certificate", "", certificate(t, "admin"), host},
		{"the certificate names nobody", "", certificate(t, "system:node:"), host},
		{"no certificate", "", nil, host},
		{"garbage", "", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), host},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := name(test.given, &rest.Config{TLSClientConfig: rest.TLSClientConfig{CertData: test.chain}})
			if got != test.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func certificate(t *testing.T, user string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: user}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind":"Node","metadata":{"name":"worker-1"},"spec":{"taints":[{"key":"picket.dev/fenced","value":"b","effect":"NoSchedule"}]}}`))
	f.Add([]byte(`{"kind":"Status","status":"Failure","code":404}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := parse(data, nodeName)
		if err != nil && !reflect.DeepEqual(o, Object{}) {
			t.Errorf("%+v with error %v", o, err)
		}
		if err == nil && Judge(o, self()).Word == Unknown {
			t.Errorf("no verdict on %q", data)
		}
	})
}
