package shell

import (
	"fmt"
	"strings"

	"ferry/client/config"
)

// ConfigHelp is what there is to say about settings as a whole.
const ConfigHelp = `A setting is what set says, else an option, else the environment (FERRY_ and its name in capitals, as
FERRY_LIMIT), else the configuration file, else its default. The file is $XDG_CONFIG_HOME/ferry/config.toml
(~/.config/ferry/config.toml), or the one that --config or FERRY_CONFIG names:

  [defaults]
  parallel = 4

  [host."*.example.org"]        # HOST or HOST:PORT, * and ? as in names of files
  user = "alice"
  password-command = "pass show ferry"

  [bookmarks]
  www = "alice@files.example.org/www"

  [alias]
  ll = "ls -lh"

Of several [host] sections that fit, the first that has a setting says what it is; all come before
[defaults]. The file is yours: ferry reads it only, and refuses it when others can write to it. Passwords
do not belong there. What is said with bookmark add and alias -s is kept in $XDG_STATE_HOME/ferry
(~/.local/state/ferry). set -a shows every setting and where its value comes from.`

// configHelp is the page of help about settings.
func configHelp() string {
	var b strings.Builder
	b.WriteString(ConfigHelp + "\n\nSettings:\n")
	for _, t := range config.Table() {
		fmt.Fprintf(&b, "  %-17s %s\n", t.Name, t.Help)
	}
	return b.String()
}
