// Package config holds the settings of a node: where they may come from and
// which of them go together.
//
// A setting has one name, that of its flag. Its value is taken from the flag,
// else from the environment, else from the configuration file, else it is the
// default. Every refusal names the setting, its value, where that came from
// and what is allowed.
package config
