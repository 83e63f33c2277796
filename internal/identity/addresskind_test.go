package identity

import (
	"bufio"
	"slices"
	"strings"
	"testing"

	"usersync/internal/usersync"
)

func TestKindOfTellsPersonalAddresses(t *testing.T) {
	t.Parallel()
	for domain := range strings.FieldsSeq(`gmail.com googlemail.com outlook.com outlook.de hotmail.com hotmail.co.uk hotmail.fr live.com live.nl msn.com
		yahoo.com yahoo.co.uk yahoo.de yahoo.com.br yahoo.co.jp ymail.com aol.com icloud.com me.com mac.com proton.me protonmail.com pm.me
		gmx.de gmx.net gmx.at gmx.ch gmx.com gmx.co.uk web.de t-online.de freenet.de mail.com mail.ru yandex.ru yandex.com orange.fr free.fr
		laposte.net wanadoo.fr sfr.fr libero.it virgilio.it tiscali.it alice.it comcast.net verizon.net att.net sbcglobal.net cox.net
		charter.net earthlink.net btinternet.com sky.com virginmedia.com ziggo.nl kpnmail.nl telenet.be skynet.be bluewin.ch aon.at
		seznam.cz wp.pl o2.pl onet.pl interia.pl abv.bg ukr.net sapo.pt uol.com.br bol.com.br terra.com.br hey.com fastmail.com
		tutanota.com zoho.com posteo.de mailbox.org qq.com 163.com 126.com naver.com daum.net rediffmail.com bigpond.com optusnet.com.au
		xtra.co.nz shaw.ca rogers.com sympatico.ca docomo.ne.jp duck.com privaterelay.appleid.com austin.rr.com mail.yahoo.com a.b.gmail.com`) {
		wantKind(t, "john.doe@"+domain, Personal)
	}
}

func TestKindOfTellsDisposableAddresses(t *testing.T) {
	t.Parallel()
	for domain := range strings.FieldsSeq(`mailinator.com guerrillamail.com 10minutemail.com yopmail.com temp-mail.org trashmail.com sharklasers.com
		maildrop.cc getnada.com mail.tm burnermail.io spamgourmet.com sub.mailinator.com`) {
		wantKind(t, "john.doe@"+domain, Disposable)
	}
}

func TestKindOfTellsRoleAddresses(t *testing.T) {
	t.Parallel()
	for local := range strings.FieldsSeq(`info INFO support sales admin administrator postmaster hostmaster webmaster abuse noreply no-reply no.reply no_reply
		No-Reply noreply-orders no-reply.billing donotreply do-not-reply do_not_reply mailer-daemon bounce bounces bounces-123 bounce-list info+news support+4711
		info2 sales01 hr it it-support jobs careers kontakt vertrieb buchhaltung bewerbung contact contacto contatti contato facturation
		comptabilite ventas compras verkoop boekhouding newsletter team hello office sales-emea support.de sales_team info-uk
		human.resources human_resources customer-service accounts.payable`) {
		wantKind(t, local+"@example.com", Role)
	}
}

func TestKindOfTakesPeopleForPeople(t *testing.T) {
	t.Parallel()
	for local := range strings.FieldsSeq(`john.doe john j.doe jdoe doe.john ada info.doe sales.maria jobs.steve helper adminah inform supportive newsom
		norbert.reply mr.info ola.nordmann ola itziar hrvoje prince pradeep irene saleh informatiker officer post.malone x 42 4711 +info "info" a-b`) {
		wantKind(t, local+"@example.com", Work)
	}
}

func TestKindOfPutsTheDomainBeforeTheRole(t *testing.T) {
	t.Parallel()
	wantKind(t, "info@gmail.com", Personal)
	wantKind(t, "noreply@mailinator.com", Disposable)
	wantKind(t, "info@example.com", Role)
}

func TestKindOfNoAddressIsWork(t *testing.T) {
	t.Parallel()
	if got := KindOf(usersync.Email{}); got != Work {
		t.Errorf("KindOf of no address = %s", got)
	}
}

// companies are well-known companies, some of which sell mail or access to the
// public under another name, and the domains kept for examples.
const companies = `google.com apple.com microsoft.com amazon.com meta.com facebook.com ibm.com us.ibm.com oracle.com sap.com salesforce.com
	adobe.com intel.com nvidia.com cisco.com dell.com hp.com siemens.com bosch.com bmw.de bmw.com mercedes-benz.com volkswagen.de
	basf.com bayer.com allianz.de telekom.de t-systems.com vodafone.com orange.com bt.com sky.uk att.com verizon.com comcast.com
	alibaba.com alibaba-inc.com tencent.com samsung.com sony.com toyota.com nestle.com novartis.com roche.com unilever.com
	shell.com philips.com ing.com abnamro.nl airbus.com renault.com loreal.com totalenergies.com enel.com eni.com telefonica.com
	santander.com inditex.com petrobras.com.br deloitte.com accenture.com pwc.com mckinsey.com ge.com ford.com walmart.com
	netflix.com spotify.com stripe.com shopify.com hubspot.com mailchimp.com twilio.com zohocorp.com yahooinc.com navercorp.com
	telstra.com saudia.com singpost.com parrot.com easypost.com nus.edu.sg berlin.de example.com example.org example.net sub.example.com
	example.edu test.com example.co.uk acme.example company.test`

func TestKindOfTakesCompaniesForWork(t *testing.T) {
	t.Parallel()
	for domain := range strings.FieldsSeq(companies) {
		wantKind(t, "john.doe@"+domain, Work)
	}
}

func TestKindOfTellsMembersOfAssociations(t *testing.T) {
	t.Parallel()
	for domain := range strings.FieldsSeq(`acm.org ieee.org linux.com debian.org member.fsf.org cs.acm.org`) {
		wantKind(t, "john.doe@"+domain, Membership)
	}
}

func TestAddressesThatHideTheirOwnersArePersonal(t *testing.T) {
	t.Parallel()
	for domain := range strings.FieldsSeq(`users.noreply.github.com users.noreply.gitlab.com users.sourceforge.net relay.firefox.com addy.io simplelogin.co
		users.noreply.acme.example noreply.git.acme.example googlegroups.com groups.io alumni.cern gtalumni.org oxon.org caa.columbia.edu acme-alumni.example`) {
		wantKind(t, "12345+john@"+domain, Personal)
	}
}

func TestMistypedProvidersArePersonal(t *testing.T) {
	t.Parallel()
	for domain := range strings.FieldsSeq(`gmai.com gmial.com gmaill.com gnail.com gmail.co gmail.cm hotmial.com hotmal.com outlok.com outllok.com yaho.com yahooo.com
		yhaoo.com iclod.com comcst.net wandoo.fr yahoo.co.za hotmail.com.vn gmx.pt
		googlexail.com protonmaul.com icloucd.com outlooko.com libeero.it ornage.fr lvie.com freee.fr yahho.com`) {
		wantKind(t, "john.doe@"+domain, Personal)
	}
	for domain := range strings.FieldsSeq(`gmaid.example gemal.com outlooks.example yahoo-inc.com yafoo.com cloud.com icloudy.com outlookgroup.com hotmail.acme.example gmail.acme.example
		orage.fr grange.fr libro.it libera.it lives.com oranges.fr fred.fr doogle.com oogle.com outlooks.com`) {
		wantKind(t, "john.doe@"+domain, Work)
	}
}

func TestNamesMadeOfMailAndNamesOfNetworksAreProviders(t *testing.T) {
	t.Parallel()
	for domain := range strings.FieldsSeq(`freewebmail.example.ne.jp acme.ne.jp mx.acme.net.il acme.net.id mailpost.com free-inbox.co.uk webmailbox.de`) {
		wantKind(t, "john.doe@"+domain, Personal)
	}
	for domain := range strings.FieldsSeq(`acme.co.jp ne.jp.example acme.net.au postbox.com webpost.de mailworks.example mailer.dev mailx.de inbox.acme.example freewebmail.acme.example`) {
		wantKind(t, "john.doe@"+domain, Work)
	}
}

func TestAQualifierFollowsARoleOfMoreWords(t *testing.T) {
	t.Parallel()
	for local := range strings.FieldsSeq(`customer-service-uk human_resources_emea customer-support-apac sales.uk`) {
		wantKind(t, local+"@example.com", Role)
	}
	for local := range strings.FieldsSeq(`anna-maria-de jean-luc-paris customer.uk.smith`) {
		wantKind(t, local+"@example.com", Work)
	}
}

func TestThePeopleOfAProviderAreAtWork(t *testing.T) {
	t.Parallel()
	for domain := range strings.FieldsSeq(`corp.mail.ru firma.seznam.cz corp.yandex.ru`) {
		wantKind(t, "john.doe@"+domain, Work)
	}
	wantKind(t, "john.doe@vip.mail.ru", Personal)
}

func TestRobotsListsAndTeamsAreNobody(t *testing.T) {
	t.Parallel()
	for local := range strings.FieldsSeq(`build-robot merge-bot infra-root cf-platform-eng web_team git-commits dependabot`) {
		wantKind(t, local+"@example.com", Role)
	}
	wantKind(t, "john.doe@lists.example.org", Role)
	wantKind(t, "john.doe@lists.eu.example.org", Role)
	wantKind(t, "john.doe@lists.example", Work) // a company of that name
	for local := range strings.FieldsSeq(`ap1234 it2911 hr5501 gdpr0001 dev0417 peter.bot karl.post talbot abbot anna.list jean-luc maria.sales`) {
		wantKind(t, local+"@example.com", Work)
	}
	wantKind(t, "info2024@example.com", Role)
}

func TestOnlyLargeProvidersTellNoCompanyForGood(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"ann@acme.example": "acme.example", "ann@us.acme.example": "acme.example", "info@acme.example": "", "ann@gmail.com": "", "ann@a.gmail.com": "",
		"ann@mailinator.com": "", "ann@acm.org": "acm.org", "ann@hkbn.net": "hkbn.net", "ann@lists.acme.example": "", "ann@localhost.localdomain": "localhost.localdomain",
	} {
		if got := CompanyOf(mustEmail(t, address)); got != want {
			t.Errorf("CompanyOf(%s) = %q, want %q", address, got, want)
		}
	}
}

func wantKind(t *testing.T, address string, want AddressKind) {
	t.Helper()
	if got := KindOf(mustEmail(t, address)); got != want {
		t.Errorf("KindOf(%s) = %s, want %s", address, got, want)
	}
}

func TestListsAreSortedDomainsWithoutPublicSuffixes(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]string{"personal": personalList, "disposable": disposableList, "membership": membershipList, "mass": massList} {
		domains := lines(list)
		if !slices.IsSorted(domains) || len(slices.Compact(slices.Clone(domains))) != len(domains) {
			t.Errorf("%s: not sorted, or with doubles", name)
		}
		for _, domain := range domains {
			// No company: a public suffix, and subdomains would count too.
			if ascii, ok := parseDomain(domain); !ok || ascii != domain || Company(domain) == "" {
				t.Errorf("%s: %q does not belong there", name, domain)
			}
		}
	}
	if n := len(personalList) + len(disposableList) + len(roleList); n > 400<<10 {
		t.Errorf("the lists take %d bytes", n)
	}
}

func TestNoDomainIsPersonalAndDisposable(t *testing.T) {
	t.Parallel()
	personal := lines(personalList)
	for _, domain := range lines(disposableList) {
		if _, both := slices.BinarySearch(personal, domain); both {
			t.Errorf("%s is on both lists", domain)
		}
	}
}

func TestRoleListIsInTheFormLookedUp(t *testing.T) {
	t.Parallel()
	for _, name := range lines(roleList) {
		if same, _ := squeeze(nil, name); string(same) != name || strings.ToLower(name) != name || !isAtom(name) {
			t.Errorf("%q can never be found", name)
		}
	}
}

func lines(text string) []string {
	var out []string
	for scanner := bufio.NewScanner(strings.NewReader(text)); scanner.Scan(); {
		out = append(out, scanner.Text())
	}
	return out
}

func BenchmarkKindOf(b *testing.B) {
	for name, address := range map[string]string{"work": "john.doe@mail.example.com", "personal": "john.doe@gmail.com", "role": "no-reply+1@example.com"} {
		b.Run(name, func(b *testing.B) {
			email := mustEmail(b, address)
			b.ReportAllocs()
			for b.Loop() {
				KindOf(email)
			}
		})
	}
}
