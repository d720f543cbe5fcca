// Package config holds the settings of the SDK: where requests go, which keys sign them, how connections behave.
//
// It is source-compatible with the config package of QingStor's Go SDK v4; docs/sdk.md lists what differs.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// The environment variables that [New], [NewDefault] and [Config.LoadEnvironment] read. Empty ones count as not set.
const (
	EnvAccessKeyID            = "QINGSTOR_ACCESS_KEY_ID"
	EnvSecretAccessKey        = "QINGSTOR_SECRET_ACCESS_KEY"
	EnvConfigPath             = "QINGSTOR_CONFIG_PATH"               // replaces DefaultConfigFile
	EnvEnableVirtualHostStyle = "QINGSTOR_ENABLE_VIRTUAL_HOST_STYLE" // a bool as of strconv.ParseBool
	EnvEnableDualStack        = "QINGSTOR_ENABLE_DUAL_STACK"         // a bool as of strconv.ParseBool
	EnvEndpoint               = "QINGSTOR_ENDPOINT"                  // protocol://host[:port]
)

// Config says where requests go, with which keys, and how. Make one with [New] or [NewDefault].
// It may be shared by any number of services once it is no longer changed.
type Config struct {
	// AccessKeyID and SecretAccessKey sign the requests. Both empty: requests are anonymous.
	AccessKeyID     string `yaml:"access_key_id"`
	SecretAccessKey string `yaml:"secret_access_key"`

	// Host is the service's name without a zone, or an address, IPv6 without brackets.
	Host string `yaml:"host"`
	// Port is 1 to 65535; 0 leaves it to the protocol.
	Port int `yaml:"port"`
	// Protocol is "http" or "https".
	Protocol string `yaml:"protocol"`
	// Endpoint is protocol://host[:port]. Where it is set, it counts instead of Protocol, Host and Port.
	Endpoint string `yaml:"endpoint"`

	// AdditionalUserAgent is appended to the User-Agent: printable ASCII without blanks and quotes.
	AdditionalUserAgent string `yaml:"additional_user_agent"`

	// DisableURICleaning sends runs of "/" in keys as they are. By default each is sent as one.
	DisableURICleaning bool `yaml:"disable_uri_cleaning"`

	// LogLevel is kept for source compatibility: the SDK logs nothing.
	LogLevel string `yaml:"log_level"`

	// EnableVirtualHostStyle names the bucket in the host instead of the path.
	EnableVirtualHostStyle bool `yaml:"enable_virtual_host_style"`
	// EnableDualStack tries IPv6 and IPv4 side by side, and allows IPv6 addresses as Host in Check.
	EnableDualStack bool `yaml:"enable_dual_stack"`

	// MaxRetries is how often a request is sent again at most when the server answers 429 or 503, if it can be repeated without harm. 0 means never;
	// New and NewDefault set 2. QingStor's SDK lacks it.
	MaxRetries int `yaml:"max_retries"`
	// MaxRetryWait bounds the time between two of them. A server that asks for more is not asked again. 0 means 10 s. QingStor's SDK lacks it.
	MaxRetryWait time.Duration `yaml:"max_retry_wait"`

	// HTTPSettings take effect with the next InitHTTPClient.
	HTTPSettings HTTPClientSettings

	// Connection sends the requests. InitHTTPClient makes it; any other client will do. nil means http.DefaultClient.
	Connection *http.Client `yaml:"-"`
}

// New returns the defaults with the environment applied, then the two keys, which may both be empty for anonymous requests.
// It fails if an environment variable cannot be understood.
func New(accessKeyID, secretAccessKey string) (*Config, error) {
	c, err := NewDefault()
	if err != nil {
		return nil, err
	}
	c.AccessKeyID = accessKeyID
	c.SecretAccessKey = secretAccessKey
	return c, nil
}

// NewDefault returns the defaults with the environment applied.
// It fails if an environment variable cannot be understood.
func NewDefault() (*Config, error) {
	c := &Config{}
	if err := c.LoadDefaultConfig(); err != nil {
		return nil, err
	}
	c.InitHTTPClient()
	return c, nil
}

// LoadDefaultConfig sets every field but Connection to its default, then applies the environment.
func (c *Config) LoadDefaultConfig() error {
	*c = Config{
		Host:         "qingstor.com",
		Port:         443,
		Protocol:     "https",
		LogLevel:     "warn",
		MaxRetries:   2,
		MaxRetryWait: 10 * time.Second,
		HTTPSettings: DefaultHTTPClientSettings,
		Connection:   c.Connection,
	}
	return c.LoadEnvironment()
}

// LoadEnvironment applies the environment variables that are set. An endpoint there replaces Protocol, Host and Port, and empties
// Endpoint, so that code which sets these fields afterwards has the last word.
// It fails if a variable cannot be understood, and then changes nothing.
func (c *Config) LoadEnvironment() error {
	next := *c
	if v := os.Getenv(EnvEndpoint); v != "" {
		protocol, host, port, err := parseEndpoint(v)
		if err != nil {
			return fmt.Errorf("environment variable %s: %w", EnvEndpoint, err)
		}
		next.Protocol, next.Host, next.Port, next.Endpoint = protocol, host, port, ""
	}
	if v := os.Getenv(EnvAccessKeyID); v != "" {
		next.AccessKeyID = v
	}
	if v := os.Getenv(EnvSecretAccessKey); v != "" {
		next.SecretAccessKey = v
	}
	for name, field := range map[string]*bool{
		EnvEnableVirtualHostStyle: &next.EnableVirtualHostStyle,
		EnvEnableDualStack:        &next.EnableDualStack,
	} {
		v := os.Getenv(name)
		if v == "" {
			continue
		}
		b, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("environment variable %s: %q is neither true nor false", name, v)
		}
		*field = b
	}
	*c = next
	return nil
}

// Address returns where requests go: Endpoint if it is set, else Protocol, Host and Port. A port of 0 means the protocol's own.
// It fails if Endpoint is not protocol://host[:port].
func (c *Config) Address() (protocol, host string, port int, err error) {
	if c.Endpoint != "" {
		return parseEndpoint(c.Endpoint)
	}
	return c.Protocol, strings.Trim(c.Host, "[]"), c.Port, nil
}

// parseEndpoint reads protocol://host[:port]; the port defaults to the protocol's. An error does not repeat the endpoint,
// which may hold a password by mistake.
func parseEndpoint(s string) (protocol, host string, port int, err error) {
	const form = "the form is protocol://host[:port]"
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", "", 0, errors.New("endpoint cannot be read; " + form)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", "", 0, errors.New("endpoint must begin with http:// or https://")
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "", "", 0, errors.New("endpoint holds more than protocol, host and port; " + form)
	case u.Hostname() == "":
		return "", "", 0, errors.New("endpoint has no host; " + form)
	}
	switch p := u.Port(); {
	case p != "":
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return "", "", 0, errors.New("endpoint has a port outside 1 to 65535")
		}
	case u.Scheme == "http":
		port = 80
	default:
		port = 443
	}
	return u.Scheme, u.Hostname(), port, nil
}

// Check reports what keeps the configuration from working. Nothing calls it by itself.
func (c *Config) Check() error {
	switch {
	case c.AccessKeyID == "" && c.SecretAccessKey != "":
		return errors.New("access key ID is missing; give both keys, or neither for anonymous requests")
	case c.AccessKeyID != "" && c.SecretAccessKey == "":
		return errors.New("secret access key is missing; give both keys, or neither for anonymous requests")
	}
	protocol, host, port, err := c.Address()
	switch {
	case err != nil:
		return err
	case host == "":
		return errors.New("host is missing")
	case port < 1 || port > 65535:
		return fmt.Errorf("port %d is outside 1 to 65535", port)
	case protocol == "":
		return errors.New("protocol is missing")
	case protocol != "http" && protocol != "https":
		return fmt.Errorf("protocol %q is neither http nor https", protocol)
	}
	if ip := net.ParseIP(host); ip != nil {
		if c.EnableVirtualHostStyle {
			return fmt.Errorf("host %q is an address, which no bucket can stand in front of; disable virtual-host style", host)
		}
		if ip.To4() == nil && !c.EnableDualStack {
			return fmt.Errorf("host %q is an IPv6 address; enable dual stack", host)
		}
	}
	for _, r := range c.AdditionalUserAgent {
		if r <= ' ' || r > '~' || r == '"' {
			return fmt.Errorf("additional user agent holds %q; printable ASCII without blanks and quotes is allowed", r)
		}
	}
	return nil
}
