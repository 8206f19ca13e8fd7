// Package attached asks the API which volumes a node may have, for a teardown:
// its Node, its pods, and of PersistentVolumes, VolumeAttachments and CSIDrivers
// those that what is on the host is about.
//
// It asks only when it is told to, which is after a fence and for a person's
// question, and for no more than that needs: a healthy node asks for nothing. It
// refuses to answer from memory, and to guess: what could not be read leaves all
// of it unknown.
package attached
