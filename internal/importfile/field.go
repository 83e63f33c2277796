package importfile

import (
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
		adressedemessagerie posta postaelettronica indirizzoemail enderecodeemail correioeletronico emailadres epost
		epostadress epostadresse adresemail adresmail epasts sahkoposti emailcim eposta mejl`,
	Name: `name fullname displayname completename personname contactname contact vollername vollstandigername anzeigename
		nomcomplet nombrecompleto nomecompleto nomeecognome volledigenaam naam navn namn imieinazwisko nombre nome`,
	FirstName: `firstname givenname forename first fname vorname rufname prenom nombredepila primernombre primeironome nomeproprio
		prenome voornaam fornamn fornavn imie etunimi keresztnev jmeno`,
	LastName: `lastname surname familyname last lname nachname familienname zuname nomdefamille nom apellido apellidos
		sobrenome apelido ultimonome cognome achternaam efternamn etternavn efternavn nazwisko sukunimi vezeteknev prijmeni`,
	JobTitle: `jobtitle title job position role jobposition jobrole workposition occupation profession function titel
		berufsbezeichnung stellenbezeichnung stelle funktion beruf rolle poste intituleduposte fonction titre cargo puesto
		titulo funcao posizione ruolo qualifica titolo functie functietitel befattning stilling stanowisko tehtavanimike
		organization1title organizationtitle`,
	Country: `country countrycode countryname countryregion countryorregion nation location land landercode landercodeiso
		landescode landerkurzel staat pays codepays pais paese nazione codigodelpais codigodopais landcode landkod landkode kraj
		maa orszag zeme address1country`,
	CompanyName: `companyname company organization organisation organizationname organisationname employer account accountname
		business firma firmenname unternehmen arbeitgeber gesellschaft entreprise societe nomdelentreprise empresa compania
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
	return out
}

// find returns the field that a column name stands for.
func (n names) find(name string) (match, bool) {
	m, ok := n[fold(name)]
	return m, ok
}

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
