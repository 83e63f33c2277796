package importfile

import (
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Field is what a column holds, by the API's name.
type Field string

// Column names are matched with these fields.
const (
	Email       Field = "email"
	Name        Field = "name"
	FirstName   Field = "firstName"
	LastName    Field = "lastName"
	JobTitle    Field = "jobTitle"
	Country     Field = "country"
	CompanyName Field = "companyName"
	Website     Field = "website"
	Photo       Field = "photo"
	InviteLink  Field = "inviteLink"
)

// People are the fields of a person in a directory. Users are the fields of a user.
var (
	People = []Field{Email, Name, FirstName, LastName, JobTitle, Country, CompanyName, Website, Photo}
	Users  = []Field{Email, Name, FirstName, LastName, JobTitle, Country, InviteLink}
)

// synonyms are the folded names of columns, the surest first. If two columns of a
// file fit one field, the name that stands earlier wins. The names are those of
// common exports and of the larger languages in Latin script.
var synonyms = map[Field]string{
	Email: `email emailaddress mail mailaddress primaryemail workemail businessemail useremail emailadresse mailadresse email1
		email1value emailwork emailbusiness correo correoelectronico courriel adressemail adresseemail adresseelectronique
		useremailaddress userprincipalname upn contactemail adressedemessagerie posta postaelettronica indirizzoemail enderecodeemail correioeletronico emailadres epost
		epostadress epostadresse adresemail adresmail epasts sahkoposti emailcim eposta mejl`,
	Name: `name fullname displayname completename personname contactname contact userfullname userdisplayname vollername vollstandigername anzeigename
		nomcomplet nombrecompleto nomecompleto nomeecognome volledigenaam naam navn namn imieinazwisko nombre nome`,
	FirstName: `firstname givenname userfirstname forename first fname vorname rufname prenom nombredepila primernombre primeironome nomeproprio
		prenome voornaam fornamn fornavn imie etunimi keresztnev jmeno`,
	LastName: `lastname surname userlastname familyname last lname nachname familienname zuname nomdefamille nom apellido apellidos
		sobrenome apelido ultimonome cognome achternaam efternamn etternavn efternavn nazwisko sukunimi vezeteknev prijmeni`,
	JobTitle: `jobtitle title job position role jobposition jobrole workposition occupation profession function titel
		berufsbezeichnung stellenbezeichnung stelle funktion beruf rolle poste intituleduposte fonction titre cargo puesto
		titulo funcao posizione ruolo qualifica titolo functie functietitel befattning stilling stanowisko tehtavanimike
		organization1title organizationtitle`,
	Country: `country countrycode countryname countryregion countryorregion nation location land landercode landercodeiso
		landescode landerkurzel staat pays codepays pais paese nazione codigodelpais codigodopais landcode landkod landkode kraj
		maa orszag zeme address1country`,
	CompanyName: `companyname company organization organisation organizationname organisationname employer account accountname
		business businessname firma firmenname unternehmen arbeitgeber gesellschaft entreprise societe nomdelentreprise empresa compania
		nombredelaempresa nomedaempresa azienda societa nomeazienda bedrijf bedrijfsnaam foretag foretagsnamn firmanavn
		virksomhed nazwafirmy yritys organization1name`,
	Website: `website web url webpage homepage companywebsite companyurl websiteurl site domain webseite internetseite siteweb
		sitioweb paginaweb sito sitoweb webbplats hjemmeside stronainternetowa strona www`,
	Photo: `photo photourl picture pictureurl image imageurl avatar avatarurl foto fotourl bild bildurl imagen immagine imagem
		zdjecie`,
	InviteLink: `invitelink inviteurl invitationlink invitationurl invite einladungslink einladungsurl lieninvitation
		liendinvitation enlacedeinvitacion linkdeconvite linkinvito uitnodigingslink inbjudningslank`,
}

// names maps the folded name of a column to the field that it stands for.
type names map[string]match

// match is a field and the rank of the name that matched. Rank 0 is the API's own
// name.
type match struct {
	field Field
	rank  int
}

func namesOf(fields []Field) names {
	out := names{}
	for _, f := range fields {
		for rank, word := range strings.Fields(synonyms[f]) {
			if _, taken := out[word]; !taken {
				out[word] = match{f, rank}
			}
		}
	}
	if out[fold(string(Email))].field == Email {
		out[mayBeEmail] = match{Email, 3 * ofRule}
	}
	return out
}

// mayBeEmail names what is an address in some exports: any other column is surer.
const mayBeEmail = "username"

// prefixes say whose or which of several a column is, as the exports of address books
// and of customer systems do: Person - Email - Work, Mailing Country.
var prefixes = strings.Fields(`person people contact lead employee member customer mailing billing business work company organization primary
	main home office default`)

// suffixes do too: Email Address [Required], Email - Primary.
var suffixes = strings.Fields(`required optional work business primary main home office value 1`)

// ofRule is the rank of the names that rules lead to: any that is listed is surer.
const ofRule = 1000

// find returns the field that a column name stands for: as it is, without what stands
// in brackets, or without a prefix and a suffix.
func (n names) find(name string) (match, bool) {
	if m, ok := n[fold(name)]; ok {
		return m, true
	}
	folded := fold(inBrackets.ReplaceAllString(name, " "))
	if m, ok := n[folded]; ok {
		return match{m.field, ofRule + m.rank}, true
	}
	for _, suffix := range append([]string{""}, suffixes...) {
		short, ok := strings.CutSuffix(folded, suffix)
		for _, prefix := range append([]string{""}, prefixes...) {
			shorter, also := strings.CutPrefix(short, prefix)
			if m, known := n[shorter]; ok && also && known {
				return match{m.field, 2*ofRule + m.rank}, true
			}
		}
	}
	return match{}, false
}

var inBrackets = regexp.MustCompile(`\[[^\]]*\]|\([^)]*\)`)

// fold returns the letters and digits of a name in lower case, without accents.
func fold(name string) string {
	var out strings.Builder
	for _, r := range norm.NFKD.String(name) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			out.WriteRune(unicode.ToLower(r))
		}
	}
	return out.String()
}
