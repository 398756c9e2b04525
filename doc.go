// Package conch is the root of Conch, a distributed lock service: whoever
// holds the conch may act, everybody else waits in line, and a token that only
// grows tells the resource who is late.
//
// There is no code here. Applications import package sdk, and sdk/fence on the
// side of the resource; cmd/conch is the server and the command line.
// README.md says how to begin and ARCHITECTURE.md where everything is. The
// tests of this package hold the rules that span packages: which may import
// which, and which are pure.
package conch
