package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is picket.dev/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "picket.dev", Version: "v1alpha1"}

// AddToScheme registers the types of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&Roll{}, &RollList{},
		&NodeGuard{}, &NodeGuardList{},
		&NodeFence{}, &NodeFenceList{},
		&NodeFenceTemplate{}, &NodeFenceTemplateList{},
		&FencingPolicy{}, &FencingPolicyList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
