package main

import (
	"github.com/conch-lock/conch/bench/conch"
	"github.com/conch-lock/conch/bench/etcd"
	"github.com/conch-lock/conch/bench/redis"
	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/zookeeper"
)

// allSystems are those that can be compared, Conch first.
func allSystems() []system.System {
	return []system.System{&conch.System{}, &etcd.System{}, &zookeeper.System{}, &redis.System{}}
}

func systemNames() []string {
	var names []string
	for _, s := range allSystems() {
		names = append(names, s.Name())
	}
	return names
}

// systemNamed is nil when there is none of that name.
func systemNamed(name string) system.System {
	for _, s := range allSystems() {
		if s.Name() == name {
			return s
		}
	}
	return nil
}
