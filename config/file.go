package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
)

// DefaultConfigFile is the user's own configuration file, unless QINGSTOR_CONFIG_PATH names another.
const DefaultConfigFile = "~/.qingstor/config.yaml"

// DefaultConfigFileContent is the content of a fresh configuration file: every key with its default, commented out, so that
// the environment still counts.
const DefaultConfigFileContent = `# QingStor services configuration. The values shown are the defaults.

#access_key_id: ""
#secret_access_key: ""

#host: qingstor.com
#port: 443
#protocol: https

# Instead of host, port and protocol.
#endpoint: ""

#enable_virtual_host_style: false
#enable_dual_stack: false
#disable_uri_cleaning: false

#additional_user_agent: ""
#log_level: warn

#max_retries: 2
#max_retry_wait: 10s

#httpsettings:
#  connect_timeout: 30s
#  read_timeout: 30s
#  write_timeout: 30s
#  tls_timeout: 10s
#  idle_timeout: 20s
#  tcp_keepalive_time: 0s
#  max_idle_conns: 100
#  max_idle_conns_per_host: 10
#  expect_continue_timeout: 2s
`

// GetUserConfigFilePath returns the path of the user's configuration file: QINGSTOR_CONFIG_PATH, or [DefaultConfigFile].
func GetUserConfigFilePath() string {
	if path := os.Getenv(EnvConfigPath); path != "" {
		return expandHome(path)
	}
	return expandHome(DefaultConfigFile)
}

// InstallDefaultUserConfig writes [DefaultConfigFileContent] to the user's configuration file, replacing what is there.
func InstallDefaultUserConfig() error {
	path := GetUserConfigFilePath()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(DefaultConfigFileContent), 0o644)
}

// LoadUserConfig loads the user's configuration file, which is made if it is missing.
func (c *Config) LoadUserConfig() error {
	path := GetUserConfigFilePath()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := InstallDefaultUserConfig(); err != nil {
			return err
		}
	}
	return c.LoadConfigFromFilePath(path)
}

// LoadConfigFromFilePath loads a YAML file. A leading "~/" stands for the home directory.
func (c *Config) LoadConfigFromFilePath(path string) error {
	path = expandHome(path)
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := c.LoadConfigFromContent(content); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// LoadConfigFromContent sets the defaults, applies the environment, then YAML, which has the last word. Unknown keys are ignored.
// An error leaves the configuration as it was. Connection is made anew.
func (c *Config) LoadConfigFromContent(content []byte) error {
	next := *c
	if err := next.LoadDefaultConfig(); err != nil {
		return err
	}
	// A file of comments is null, which would empty the whole struct, so that it is looked at for members first.
	var members map[string]any
	err := yaml.Unmarshal(content, &members)
	if err == nil && len(members) > 0 {
		err = yaml.Unmarshal(content, &next)
	}
	if err != nil {
		// The full text would quote lines of the file, and the line may be the secret key.
		return errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if next.Endpoint != "" {
		protocol, host, port, err := parseEndpoint(next.Endpoint)
		if err != nil {
			return err
		}
		next.Protocol, next.Host, next.Port = protocol, host, port
	}
	next.InitHTTPClient()
	*c = next
	return nil
}

// expandHome replaces a leading "~/". Without a known home directory the path stays as it is.
func expandHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return filepath.Join(home, rest)
}
