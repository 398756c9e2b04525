// Package raftnode hosts replicated groups. It knows entries, never what they mean.
package raftnode
