package codec

import (
	"sync"
	"testing"
)

func TestTypesAreFoundByManyAtATime(t *testing.T) {
	s := NewSchema()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, name := range []string{
				"VirtualMachineConfigSpec", "Event", "VirtualE1000", "ArrayOfString", "Nothing",
			} {
				shape, ok := s.types.find([]byte(name))
				if ok == (name == "Nothing") {
					t.Errorf("%s: %v", name, ok)
				}
				if ok && (len(shape.of.members) == 0 || shape.of.name != name) {
					t.Errorf("%s: %+v", name, shape.of)
				}
			}
		})
	}
	wg.Wait()
}

func TestNamesThatAreNoTypesAreNotKept(t *testing.T) {
	s := NewSchema()
	for _, name := range []string{"", "Nothing", "BaseEvent", "vim25:Event", "AnyType", "[1000000000]int", "ArrayOf"} {
		if got, ok := s.types.named(name); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if n := len(s.types.known); n > 0 {
		t.Errorf("%d names are kept", n)
	}
}

func TestAnObjectIsOfItsTypeAndOfThoseThatItExtends(t *testing.T) {
	s := NewSchema()
	of := func(name string) *object { return shape(t, s, name).of }
	for name, want := range map[string]bool{
		"VmPoweredOnEvent": true, "VmEvent": true, "Event": true, "DynamicData": true, "Description": false,
		"VmPoweredOffEvent": false,
	} {
		if got := of("VmPoweredOnEvent").is(of(name)); got != want {
			t.Errorf("a VmPoweredOnEvent is a %s: %v", name, got)
		}
	}
}
