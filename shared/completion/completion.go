// Package completion prints what the shells of this machine need to complete a command line.
package completion

import (
	"io"

	"github.com/spf13/cobra"
)

// words is what bash's script needs of the package bash-completion, for where that is not installed: there words end at blanks,
// whatever COMP_WORDBREAKS says.
const words = `declare -F _get_comp_words_by_ref >/dev/null || _get_comp_words_by_ref()
{
    local line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=('')
    cword=$((${#words[@]} - 1))
    cur=${words[cword]} prev=${words[cword > 0 ? cword - 1 : 0]}
}

`

// Command is the subcommand completion of a program.
func Command(program string) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "print what a shell needs to complete this command line",
		Long:  "It is a script for the shell to read when it starts. What follows the # is the file that does so.",
		Example: "source <(" + program + " completion bash)    # ~/.bashrc\n" +
			"source <(" + program + " completion zsh)     # ~/.zshrc, behind compinit\n" +
			program + " completion fish | source       # ~/.config/fish/config.fish",
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			return map[string]func(io.Writer) error{
				"bash": func(w io.Writer) error {
					if _, err := io.WriteString(w, words); err != nil {
						return err
					}
					return root.GenBashCompletionV2(w, true)
				},
				"zsh":        root.GenZshCompletion,
				"fish":       func(w io.Writer) error { return root.GenFishCompletion(w, true) },
				"powershell": root.GenPowerShellCompletionWithDesc,
			}[args[0]](cmd.OutOrStdout())
		},
	}
}
