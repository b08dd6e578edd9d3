//go:build tools

// Package conformance names upstream's programs, so that go.mod holds their modules.
package conformance

import (
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/images/agnhost"
)
