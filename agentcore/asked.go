package agentcore

import (
	"crypto/rand"
	"strings"
	"time"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
)

// PasswordKey is a key of what is asked for, not of files: "name:HASH" gives the
// visitor of that name this password, beside the others; "" ends all passwords.
const PasswordKey = "password"

// Resolve writes what may be asked for as what stands in files: a time to go as
// a moment, a new secret as one, a password among the users of s. The error is a
// Problem of code Invalid.
func Resolve(s share.Share, asked map[string]string, now time.Time) (map[string]string, error) {
	keys := map[string]string{}
	for key, text := range asked {
		switch {
		case key == "expires":
			var err error
			if text, err = share.ParseExpiry(text, now); err != nil {
				return nil, problem.New(problem.Invalid, "expires %w", err)
			}
		case key == "secret" && text == "new":
			text = strings.ToLower(rand.Text())
		case key == PasswordKey:
			if _, both := asked["users"]; both {
				return nil, problem.New(problem.Invalid, "password and users can't be set at once: give one of them")
			}
			key, text = "users", withUser(s, text)
		}
		keys[key] = text
	}
	return keys, nil
}

// withUser is the text of the users of s with one more, or none.
func withUser(s share.Share, user string) string {
	if user == "" {
		return ""
	}
	name, _, _ := strings.Cut(user, ":")
	users := []string{}
	for _, u := range s.Users.Values() {
		if !strings.HasPrefix(u, name+":") {
			users = append(users, u)
		}
	}
	return share.ListText(append(users, user)...)
}
