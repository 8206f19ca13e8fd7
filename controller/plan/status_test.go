package plan

import (
	"reflect"
	"testing"
)

// A status that differs in any field is written.
func TestSameNoticesEveryField(t *testing.T) {
	fields := reflect.TypeFor[FenceStatus]()
	for i := range fields.NumField() {
		var st FenceStatus
		switch f := reflect.ValueOf(&st).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int, reflect.Int64:
			f.SetInt(1)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		default:
			t.Fatalf("%s: how does a %v change?", fields.Field(i).Name, f.Kind())
		}
		if st.same(&FenceStatus{}) || !st.same(&st) {
			t.Errorf("%s: a change of it is not seen", fields.Field(i).Name)
		}
	}
}
