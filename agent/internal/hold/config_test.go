package hold

import (
	"strings"
	"testing"
	"time"
)

func TestConfigErrorsNameTheKey(t *testing.T) {
	good := `"device":"/d","sysrq":"/s","marker":"/m","socket":"/o"`
	for name, c := range map[string]struct{ text, want string }{
		"good":          {`{` + good + `}`, ""},
		"delay":         {`{` + good + `,"petDelay":"250ms"}`, ""},
		"nothing":       {`{}`, "device is empty: write a path, on a real node /dev/watchdog"},
		"no sysrq":      {`{"device":"/d","marker":"/m","socket":"/o"}`, "sysrq is empty"},
		"relative":      {`{"device":"d","sysrq":"/s","marker":"/m","socket":"/o"}`, `device "d" is not absolute`},
		"unknown key":   {`{` + good + `,"devise":"/d"}`, `unknown field "devise"`},
		"test key":      {`{` + good + `,"resetGroup":7}`, `unknown field "resetGroup"`},
		"not a time":    {`{` + good + `,"petDelay":"1"}`, `missing unit`},
		"number":        {`{` + good + `,"petDelay":1}`, `petDelay`},
		"negative":      {`{` + good + `,"petDelay":"-1s"}`, "petDelay -1s is not in (0, 1m]"},
		"long socket":   {`{"device":"/d","sysrq":"/s","marker":"/m","socket":"/` + strings.Repeat("x", 107) + `"}`, "socket has 108 bytes"},
		"trailing text": {`{` + good + `} {}`, "after the closing brace"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Default()
			err := Decode([]byte(c.text), &cfg)
			if err == nil {
				err = cfg.Validate()
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if name == "delay" && time.Duration(cfg.PetDelay) != 250*ms {
				t.Errorf("petDelay %v", cfg.PetDelay)
			}
		})
	}
}
