// Package login is both halves of the password login.
package login
