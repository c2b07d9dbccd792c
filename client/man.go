package main

import (
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ferry/client/shell"
	"ferry/shared/manual"
)

// manCommand prints ferry(1), for who builds packages.
func (o *options) manCommand() *cobra.Command {
	return &cobra.Command{Use: "man", Hidden: true, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		_, err := o.manual(cmd.Root()).WriteTo(os.Stdout)
		return err
	}}
}

// manual is ferry(1): what the tables of options, commands and settings say.
func (o *options) manual(root *cobra.Command) *manual.Page {
	p := manual.New("ferry", 1, "ferry", root.Short)
	p.Heading("Synopsis")
	p.Text(root.Use)
	p.Text("ferry doctor [options] [ADDRESS]")
	p.Text("ferry completion bash|zsh|fish|powershell")
	p.Heading("Description")
	p.Text("ferry moves files between this machine and a server that runs ferryd(8). Transfers go on where they were, in both directions, and every " +
		"block is compared before a file appears under its name; what is called stored is on the server's disk.")
	p.Text(root.Long)
	p.Heading("Options")
	p.Options(root.Flags())
	p.Heading("Commands of the shell")
	group := ""
	for _, c := range shell.All() {
		if c.Group != group {
			group = c.Group
			p.Text(group + ":")
		}
		p.Part(c.Usage)
		p.Text(c.Short + ".")
		if len(c.Aliases) > 0 {
			p.Text("Also: " + strings.Join(c.Aliases, ", ") + ".")
		}
		p.Options(c.Options())
		if c.More != "" {
			p.Text(c.More)
		}
		if len(c.Examples) > 0 {
			p.Lines(c.Examples...)
		}
	}
	for _, t := range shell.Topics() {
		if t.Name == "config" || t.Name == "exit" { // which have sections of their own
			continue
		}
		p.Heading(t.Name)
		p.Lines(strings.Split(t.Text(), "\n")...)
	}
	p.Heading("Settings")
	p.Lines(strings.Split(shell.ConfigHelp, "\n")...)
	for _, s := range o.settings.All() {
		text := s.Help + "."
		if s.Default != "" {
			text += " Default: " + s.Default + "."
		}
		p.Item(s.Name+" ("+s.Env()+")", text)
	}
	p.Heading("Environment")
	for _, v := range environment() {
		p.Item(v.name, v.text+".")
	}
	p.Heading("Files")
	for _, f := range files() {
		p.Item(f.name, f.text+".")
	}
	p.Heading("Subcommands")
	p.Commands(root)
	p.Heading("Exit status")
	for _, e := range shell.Exits() {
		p.Item(strconv.Itoa(e.Code), e.Text+".")
	}
	p.Heading("See also")
	p.Text("ferryd(8), users.toml(5)")
	return p
}

// variable is one of the environment, or a file.
type variable struct{ name, text string }

// environment is what ferry looks at besides the settings.
func environment() []variable {
	return []variable{
		{"FERRY_CONFIG", "the configuration file, as --config"},
		{"FERRY_PASSWORD", "the password; no program that ferry starts sees it"},
		{"FERRY_INVITE", "the invite for register; no program that ferry starts sees it"},
		{"NETRC", "the file with passwords, instead of ~/.netrc"},
		{"SSH_AUTH_SOCK", "where the ssh-agent listens, whose keys log in"},
		{"XDG_CONFIG_HOME, XDG_STATE_HOME", "where the directory ferry with its files is, instead of ~/.config and ~/.local/state"},
		{"VISUAL, EDITOR", "the program of edit"},
		{"PAGER", "the program of more"},
		{"SHELL", "the shell of ! and of |"},
		{"LS_COLORS, NO_COLOR, TERM", "what ls looks like on a terminal"},
	}
}

// files are where ferry keeps what it is told and what it remembers.
func files() []variable {
	return []variable{
		{"~/.config/ferry/config.toml", "settings, bookmarks and aliases; ferry only reads it"},
		{"~/.local/state/ferry/known_hosts", "the keys of servers"},
		{"~/.local/state/ferry/bookmarks, aliases, history", "what was kept in the shell"},
		{"~/.local/state/ferry/jobs", "what is needed to go on with unfinished transfers"},
		{"~/.netrc", "passwords; refused if others can read it"},
		{"NAME.ferry-part", "an unfinished download, beside its target"},
	}
}
