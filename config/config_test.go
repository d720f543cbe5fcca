package config_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cisternhq/cistern/config"
)

// environ empties the SDK's environment but for what is given.
func environ(t *testing.T, pairs ...string) {
	t.Helper()
	for _, name := range []string{config.EnvAccessKeyID, config.EnvSecretAccessKey, config.EnvConfigPath,
		config.EnvEnableVirtualHostStyle, config.EnvEnableDualStack, config.EnvEndpoint} {
		t.Setenv(name, "")
	}
	for i := 0; i < len(pairs); i += 2 {
		t.Setenv(pairs[i], pairs[i+1])
	}
}

func defaults() config.Config {
	return config.Config{Host: "qingstor.com", Port: 443, Protocol: "https", LogLevel: "warn",
		MaxRetries: 2, MaxRetryWait: 10 * time.Second, HTTPSettings: config.HTTPClientSettings{
			ConnectTimeout: 30 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout: 20 * time.Second, MaxIdleConns: 100, MaxIdleConnsPerHost: 10, ExpectContinueTimeout: 2 * time.Second,
		}}
}

// same compares all but the connection, which must be there.
func same(t *testing.T, want config.Config, got *config.Config) {
	t.Helper()
	if got.Connection == nil {
		t.Error("Connection is nil")
	}
	c := *got
	c.Connection = nil
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestNew(t *testing.T) {
	environ(t)
	c, err := config.New("id", "secret")
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.AccessKeyID, want.SecretAccessKey = "id", "secret"
	same(t, want, c)
	if err := c.Check(); err != nil {
		t.Errorf("Check = %v, want nil", err)
	}
}

func TestEnvironment(t *testing.T) {
	environ(t, config.EnvAccessKeyID, "env-id", config.EnvSecretAccessKey, "env-secret", config.EnvEndpoint, "http://127.0.0.1:9000",
		config.EnvEnableDualStack, "true")
	want := defaults()
	want.AccessKeyID, want.SecretAccessKey = "env-id", "env-secret"
	want.Protocol, want.Host, want.Port = "http", "127.0.0.1", 9000
	want.EnableDualStack = true // though the other variable is not set
	c, err := config.NewDefault()
	if err != nil {
		t.Fatal(err)
	}
	same(t, want, c)

	// New honours the endpoint, too, and what code sets afterwards counts.
	c, err = config.New("id", "secret")
	if err != nil {
		t.Fatal(err)
	}
	want.AccessKeyID, want.SecretAccessKey = "id", "secret"
	same(t, want, c)
	c.Host, c.Port = "store.example", 80
	if _, host, port, err := c.Address(); host != "store.example" || port != 80 || err != nil {
		t.Errorf("Address = %s %d, %v; want what code set", host, port, err)
	}

	// The file has the last word, until the environment is asked for once more.
	if err := c.LoadConfigFromContent([]byte("host: file.example\naccess_key_id: file-id\nsecret_access_key: file-secret\n")); err != nil {
		t.Fatal(err)
	}
	want.AccessKeyID, want.SecretAccessKey, want.Host = "file-id", "file-secret", "file.example"
	same(t, want, c)
	if err := c.LoadConfigFromContent([]byte("endpoint: https://file.example:8443\n")); err != nil {
		t.Fatal(err)
	}
	if err := c.LoadEnvironment(); err != nil {
		t.Fatal(err)
	}
	want.AccessKeyID, want.SecretAccessKey, want.Host = "env-id", "env-secret", "127.0.0.1"
	same(t, want, c)
}

func TestEnvironmentRefused(t *testing.T) {
	for name, value := range map[string]string{
		config.EnvEndpoint: "127.0.0.1:9000", config.EnvEnableVirtualHostStyle: "maybe", config.EnvEnableDualStack: "2",
	} {
		environ(t, name, value)
		if _, err := config.New("id", "secret"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New with %s=%s = %v, want an error that names it", name, value, err)
		}
	}
}

func TestEndpoint(t *testing.T) {
	tests := []struct {
		endpoint, protocol, host string
		port                     int
		err                      string
	}{
		{"http://127.0.0.1:9000", "http", "127.0.0.1", 9000, ""},
		{"http://store.example", "http", "store.example", 80, ""},
		{"https://store.example/", "https", "store.example", 443, ""},
		{"https://[::1]:9000", "https", "::1", 9000, ""},
		{"HTTP://store.example:1", "http", "store.example", 1, ""},
		{"store.example:443", "", "", 0, "http:// or https://"},
		{"ftp://store.example", "", "", 0, "http:// or https://"},
		{"http://", "", "", 0, "no host"},
		{"http://:9000", "", "", 0, "no host"},
		{"http://store.example:0", "", "", 0, "port"},
		{"http://store.example:65536", "", "", 0, "port"},
		{"http://store.example:http", "", "", 0, "cannot be read"},
		{"http://tom:hunter2@store.example", "", "", 0, "more than"},
		{"http://tom:hunter2@store.example:x", "", "", 0, "cannot be read"},
		{"http://store.example/path", "", "", 0, "more than"},
		{"http://store.example?x=y", "", "", 0, "more than"},
	}
	for _, tt := range tests {
		c := config.Config{Endpoint: tt.endpoint}
		protocol, host, port, err := c.Address()
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Address of %s: the error shows the password: %v", tt.endpoint, err)
		}
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Address of %s = %v, want an error with %q", tt.endpoint, err, tt.err)
			}
			continue
		}
		if err != nil || protocol != tt.protocol || host != tt.host || port != tt.port {
			t.Errorf("Address of %s = %s %s %d, %v; want %s %s %d", tt.endpoint, protocol, host, port, err, tt.protocol, tt.host, tt.port)
		}
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		set  func(*config.Config)
		want string // what the error says; "" for none
	}{
		{"both keys", func(c *config.Config) {}, ""},
		{"no keys", func(c *config.Config) { c.AccessKeyID, c.SecretAccessKey = "", "" }, ""},
		{"no id", func(c *config.Config) { c.AccessKeyID = "" }, "access key ID"},
		{"no secret", func(c *config.Config) { c.SecretAccessKey = "" }, "secret access key"},
		{"no host", func(c *config.Config) { c.Host = "" }, "host"},
		{"no port", func(c *config.Config) { c.Port = 0 }, "port"},
		{"a port too large", func(c *config.Config) { c.Port = 65536 }, "port"},
		{"no protocol", func(c *config.Config) { c.Protocol = "" }, "protocol"},
		{"another protocol", func(c *config.Config) { c.Protocol = "ftp" }, "protocol"},
		{"an endpoint stands for all three", func(c *config.Config) { c.Host, c.Port, c.Protocol, c.Endpoint = "", 0, "", "http://a" }, ""},
		{"an endpoint that is none", func(c *config.Config) { c.Endpoint = "a" }, "endpoint"},
		{"virtual-host style at an address", func(c *config.Config) { c.Host, c.EnableVirtualHostStyle = "127.0.0.1", true }, "virtual-host"},
		{"virtual-host style at a name", func(c *config.Config) { c.EnableVirtualHostStyle = true }, ""},
		{"IPv6 alone", func(c *config.Config) { c.Host = "::1" }, "dual stack"},
		{"IPv6 with dual stack", func(c *config.Config) { c.Endpoint, c.EnableDualStack = "http://[::1]:80", true }, ""},
		{"a user agent", func(c *config.Config) { c.AdditionalUserAgent = "tool/1.0" }, ""},
		{"a user agent with a blank", func(c *config.Config) { c.AdditionalUserAgent = "tool 1" }, "user agent"},
		{"a user agent with a quote", func(c *config.Config) { c.AdditionalUserAgent = `"tool"` }, "user agent"},
		{"a user agent with a line break", func(c *config.Config) { c.AdditionalUserAgent = "tool\r\nX: y" }, "user agent"},
		{"a user agent beyond ASCII", func(c *config.Config) { c.AdditionalUserAgent = "töol" }, "user agent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := defaults()
			c.AccessKeyID, c.SecretAccessKey = "id", "s3cr3t"
			tt.set(&c)
			err := c.Check()
			switch {
			case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Check = %v, want %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "s3cr3t"):
				t.Errorf("Check = %v shows the secret", err)
			}
		})
	}
}

func TestLoadConfigFromContent(t *testing.T) {
	environ(t)
	c := &config.Config{Host: "old.example", EnableDualStack: true}
	err := c.LoadConfigFromContent([]byte(`
access_key_id: 'id'
secret_access_key: 'secret'
endpoint: http://127.0.0.1:9000
disable_uri_cleaning: true
enable_virtual_host_style: true
additional_user_agent: tool/1
log_level: debug
connection_retries: 3
max_retries: 5
max_retry_wait: 1m
httpsettings:
  read_timeout: 5m
  max_idle_conns: 7
`))
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.AccessKeyID, want.SecretAccessKey, want.Endpoint = "id", "secret", "http://127.0.0.1:9000"
	want.Protocol, want.Host, want.Port = "http", "127.0.0.1", 9000
	want.DisableURICleaning, want.EnableVirtualHostStyle, want.AdditionalUserAgent, want.LogLevel = true, true, "tool/1", "debug"
	want.HTTPSettings.ReadTimeout, want.HTTPSettings.MaxIdleConns = 5*time.Minute, 7
	want.MaxRetries, want.MaxRetryWait = 5, time.Minute
	same(t, want, c)

	for _, bad := range []string{"port: many\nsecret_access_key: s3cr3t\n", "secret_access_key: [s3cr3t\n", "endpoint: nowhere\n"} {
		if err := c.LoadConfigFromContent([]byte(bad)); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("LoadConfigFromContent(%q) = %v, want an error without the secret", bad, err)
		}
		same(t, want, c)
	}
}

func TestUserConfig(t *testing.T) {
	home := t.TempDir()
	environ(t)
	t.Setenv("HOME", home)
	file := filepath.Join(home, ".qingstor", "config.yaml")
	if got := config.GetUserConfigFilePath(); got != file {
		t.Errorf("GetUserConfigFilePath = %s, want %s", got, file)
	}
	// The file that is made when there is none leaves the environment its say.
	t.Setenv(config.EnvEndpoint, "http://127.0.0.1:9000")
	c := &config.Config{}
	if err := c.LoadUserConfig(); err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Protocol, want.Host, want.Port = "http", "127.0.0.1", 9000
	same(t, want, c)
	b, err := os.ReadFile(file)
	if err != nil || string(b) != config.DefaultConfigFileContent {
		t.Errorf("installed file: %v, want the default content", err)
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("installed file: %v, %v; want mode 0644", fi, err)
	}

	if err := os.WriteFile(filepath.Join(home, "other.yaml"), []byte("host: other.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(config.EnvConfigPath, "~/other.yaml")
	if err := c.LoadUserConfig(); err != nil || c.Host != "other.example" {
		t.Errorf("LoadUserConfig by %s = %v, host %s; want other.example", config.EnvConfigPath, err, c.Host)
	}
	if err := c.LoadConfigFromFilePath("~/none.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("LoadConfigFromFilePath = %v, want os.ErrNotExist", err)
	}
}

// What the default file shows, with its comment signs taken away, is the defaults.
func TestDefaultConfigFileContent(t *testing.T) {
	environ(t)
	var lines []string
	for line := range strings.Lines(config.DefaultConfigFileContent) {
		// Prose has one blank after the comment sign, settings none or two.
		if rest, ok := strings.CutPrefix(line, "#"); ok && (!strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "  ")) {
			lines = append(lines, rest)
		}
	}
	c := &config.Config{}
	if err := c.LoadConfigFromContent([]byte(strings.Join(lines, ""))); err != nil {
		t.Fatal(err)
	}
	same(t, defaults(), c)
	if len(lines) < 20 {
		t.Errorf("only %d settings are shown", len(lines))
	}
}

func TestInitHTTPClient(t *testing.T) {
	c := &config.Config{}
	c.InitHTTPClient()
	if c.HTTPSettings != config.DefaultHTTPClientSettings {
		t.Errorf("settings = %+v, want the defaults", c.HTTPSettings)
	}
	c = &config.Config{HTTPSettings: config.HTTPClientSettings{MaxIdleConns: 3}}
	c.InitHTTPClient()
	if s := c.HTTPSettings; s.ReadTimeout != 0 || s.WriteTimeout != 0 || s.ConnectTimeout != 30*time.Second || s.MaxIdleConns != 3 {
		t.Errorf("settings = %+v, want no read and write timeout beside the default connect timeout", s)
	}
	if c.Connection.Timeout != 0 {
		t.Errorf("Timeout = %v, want none for a whole request", c.Connection.Timeout)
	}
}

// A redirect takes no signed link and no key to another host.
func TestRedirect(t *testing.T) {
	var seen http.Header
	source := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	defer source.Close()
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, source.URL, http.StatusFound)
	}))
	defer store.Close()
	c := &config.Config{}
	c.InitHTTPClient()
	defer c.Connection.CloseIdleConnections()
	req, err := http.NewRequest("GET", store.URL+"/b/k?signature=s", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-QS-Encryption-Customer-Key", "key")
	req.Header.Set("Range", "bytes=0-1")
	resp, err := c.Connection.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if seen.Get("Referer") != "" || seen.Get("X-QS-Encryption-Customer-Key") != "" || seen.Get("Range") != "bytes=0-1" {
		t.Errorf("the source saw %v, want the range, and neither a Referer nor the key", seen)
	}
}
