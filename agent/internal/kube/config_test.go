package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDefault(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	cfg := Default()
	cfg.Node = "n1"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "no API endpoint") {
		t.Errorf("outside of a pod: %v", err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "6443")
	cfg = Default()
	cfg.Node = "n1"
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff("https://[fd00::1]:6443", cfg.Service); diff != "" {
		t.Error(diff)
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		want   string
		change func(*Config)
	}{
		{"node's name", func(c *Config) { c.Node = "" }},
		{`"10.0.0.1:6443"`, func(c *Config) { c.Endpoints = []string{"10.0.0.1:6443"} }},
		{`"http://a:80"`, func(c *Config) { c.Endpoints = []string{"http://a:80"} }},
		{"CA file", func(c *Config) { c.CAFile = "" }},
		{"deadline > 0", func(c *Config) { c.Deadline = 0 }},
		{"pingAfter > 0", func(c *Config) { c.PingAfter = -1 }},
		{"pingTimeout > 0", func(c *Config) { c.PingTimeout = 0 }},
		{"retryMin ≤ retryMax", func(c *Config) { c.RetryMin = time.Hour }},
	} {
		t.Run(test.want, func(t *testing.T) {
			cfg := Default()
			cfg.Node, cfg.Endpoints = "n1", []string{"https://a:6443"}
			if err := cfg.Validate(); err != nil {
				t.Fatal(err)
			}
			test.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestClients(t *testing.T) {
	dir := t.TempDir()
	kubeconfig, ca := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "ca")
	if err := os.WriteFile(ca, []byte(otherCA), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kubeconfig, []byte(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "https://c:6443", certificate-authority: ca}}]
users: [{name: u, user: {token: secret}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	type one struct{ Host, Name, CA, Token, File string }
	for _, test := range []struct {
		name string
		cfg  Config
		want []one
	}{
		{"pod", Config{Endpoints: []string{"https://a:1", "https://b:2"}, Service: "https://s:443", CAFile: "/ca", TokenFile: "/token"}, []one{
			{"https://a:1", "a", "/ca", "", "/token"},
			{"https://b:2", "b", "/ca", "", "/token"},
			{"https://s:443", "s", "/ca", "", "/token"},
		}},
		{"twice", Config{Endpoints: []string{"https://a:1"}, Service: "https://a:1", CAFile: "/ca"}, []one{
			{"https://a:1", "a", "/ca", "", ""},
		}},
		{"server name", Config{Endpoints: []string{"https://10.0.0.1:1"}, ServerName: "kubernetes", CAFile: "/ca"}, []one{
			{"https://10.0.0.1:1", "kubernetes", "/ca", "", ""},
		}},
		{"kubeconfig", Config{Endpoints: []string{"https://a:1"}, Kubeconfig: kubeconfig, CAFile: "/other", TokenFile: "/other"}, []one{
			{"https://a:1", "a", ca, "secret", ""},
			{"https://c:6443", "c", ca, "secret", ""},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			clients, err := test.cfg.clients()
			if err != nil {
				t.Fatal(err)
			}
			var got []one
			for _, c := range clients {
				got = append(got, one{c.Host, c.ServerName, c.CAFile, c.BearerToken, c.BearerTokenFile})
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
