// Package block lists what volumes of pods are mounted on the host, for the
// agent's attestation: Clean, or Dirty with these devices.
//
// It only reads a mountinfo file and never hangs: it refuses to touch a mount
// point, which can block for ever once the storage is gone. Devices that are
// mapped without being mounted, and mounts in other namespaces than that of
// the file, are beyond it.
package block
