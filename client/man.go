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
	p.Heading("Settings")
	p.Lines(strings.Split(shell.ConfigHelp, "\n")...)
	for _, s := range o.settings.All() {
		text := s.Help + "."
		if s.Default != "" {
			text += " Default: " + s.Default + "."
		}
		p.Item(s.Name+" ("+s.Env()+")", text)
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
