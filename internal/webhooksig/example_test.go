package webhooksig_test

import (
	"fmt"
	"time"

	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// secret is the secret of the examples. NewSecret makes a new one.
var secret = usersync.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

// A sender signs the bytes that it sends. The id stays the same at every attempt.
func ExampleSigner_Headers() {
	signer, err := webhooksig.NewSigner(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	body := []byte(`{"type":"colleagues.found"}`)
	headers := signer.Headers("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", time.Unix(1674087231, 0), body)

	fmt.Println(headers.Get(webhooksig.HeaderID))
	fmt.Println(headers.Get(webhooksig.HeaderTimestamp))
	fmt.Println(headers.Get(webhooksig.HeaderSignature))
	// Output:
	// msg_2KWPBgLlAfxdpx2AI54pPJ85f4W
	// 1674087231
	// v1,Hp5nclbS1XI0dz0FT415N2dknOKmcxNdgmuGw7rxAyk=
}

// A receiver verifies the bytes as they came, before it decodes them. It refuses a
// body that was changed and a message that is too old.
func ExampleVerify() {
	sentAt := time.Unix(1674087231, 0)
	signer, err := webhooksig.NewSigner(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	body := []byte(`{"type":"colleagues.found"}`)
	headers := signer.Headers("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", sentAt, body)
	const tolerance = 5 * time.Minute

	fmt.Println(webhooksig.Verify(secret, headers, body, sentAt.Add(time.Second), tolerance))
	fmt.Println(webhooksig.Verify(secret, headers, []byte(`{"type":"forged"}`), sentAt.Add(time.Second), tolerance))
	fmt.Println(webhooksig.Verify(secret, headers, body, sentAt.Add(time.Hour), tolerance))
	// Output:
	// <nil>
	// unauthorized: No webhook signature fits.
	// unauthorized: The webhook timestamp is too old or too new.
}

// While a secret is being replaced, the sender signs with the new one and the old one.
// A receiver that has either of the two accepts the message.
func ExampleNewSigner_rotation() {
	oldSecret, newSecret := webhooksig.NewSecret(), webhooksig.NewSecret()
	signer, err := webhooksig.NewSigner(newSecret, oldSecret)
	if err != nil {
		fmt.Println(err)
		return
	}
	now, body := time.Now(), []byte(`{}`)
	headers := signer.Headers("msg_1", now, body)

	fmt.Println("not updated yet:", webhooksig.Verify(oldSecret, headers, body, now, time.Minute))
	fmt.Println("updated:", webhooksig.Verify(newSecret, headers, body, now, time.Minute))
	fmt.Println("somebody else:", webhooksig.Verify(webhooksig.NewSecret(), headers, body, now, time.Minute))
	// Output:
	// not updated yet: <nil>
	// updated: <nil>
	// somebody else: unauthorized: No webhook signature fits.
}

// With a key pair the receiver holds nothing that it could sign with.
func ExampleNewKeyPair() {
	private, public := webhooksig.NewKeyPair()
	signer, err := webhooksig.NewSigner(private)
	if err != nil {
		fmt.Println(err)
		return
	}
	now, body := time.Now(), []byte(`{}`)
	headers := signer.Headers("msg_1", now, body)

	fmt.Println(webhooksig.Verify(usersync.NewSecret(public), headers, body, now, time.Minute))
	// Output:
	// <nil>
}
