package identity

// usualCountryNames are names in use that the code list and CLDR lack: one
// country a line, its alpha-2 code, then names parted by semicolons. Case,
// accents and punctuation do not matter. They go before all other names. The
// names behind ?? mean more than one country, so they mean none.
const usualCountryNames = `
?? Korea; Kongo; Guiana; America; Virgin Islands; State of Georgia
AE UAE; VAE; Emirates; Émirats arabes unis
AG Antigua
AR Argentine Republic
AX Aland
BA Bosnia; Bosnia Herzegovina; Bosnia-Hercegovina; BiH
BL Saint Barts; St Barts
BN Brunei
BO Bolivia; Plurinational State of Bolivia; Bolivia, Plurinational State of
BQ Bonaire; Bonaire, Sint Eustatius and Saba; BES Islands
BS Bahamas; Commonwealth of the Bahamas
BY Belarus; Weißrussland; Bielorussie; Biélorussie; Wit-Rusland; Byelorussia; Belorussia
CC Cocos Islands; Keeling Islands
CD DRC; DR Congo; D.R. Congo; Congo, Democratic Republic of the; Congo, the Democratic Republic of the; Congo, Dem. Rep.; Congo (DRC); Democratic Republic of Congo; Congo-Kinshasa; Zaire
CF Central African Rep
CG Republic of the Congo; Republic of Congo; Congo, Republic of the; Congo, Rep.; Congo (Brazzaville); Congo-Brazzaville
CH Swiss Confederation; Helvetia; Confœderatio Helvetica
CI Ivory Coast; Elfenbeinküste; Elfenbeinkueste; Cote d'Ivoire; Cote dIvoire; Republic of Cote d'Ivoire
CN PRC; P.R.C.; PR China; P.R. China; China, People's Republic of; People's Republic of China; Peoples Republic of China; Mainland China; Zhongguo; 中华人民共和国; 中國
CV Cape Verde; Cabo Verde
CW Curaçao
CZ Czechia; Tschechische Republik; République tchèque; República Checa; Repubblica Ceca; Czech Republic; Czech Rep.; Česká republika; Česko; Cesko
DE Federal Republic of Germany; Bundesrepublik Deutschland; BRD
DO Dominican Rep.; República Dominicana
EH Western Sahara
ES Kingdom of Spain; Espana
FK Falklands; Malvinas; Falkland Islands (Malvinas)
FM Micronesia; Federated States of Micronesia; Micronesia, Federated States of
FO Faroes; Faeroe Islands
FR French Republic; République française; Metropolitan France
GB Great Britain; Britain; United Kingdom; U.K.; UK; United Kingdom of Great Britain and Northern Ireland; England; Scotland; Wales; Northern Ireland; Vereinigtes Königreich; Grossbritannien; Großbritannien; Reino Unido; Regno Unito; Royaume-Uni; Grande-Bretagne; Gran Bretaña; Gran Bretagna; Grã-Bretanha; Verenigd Koninkrijk; Groot-Brittannië; England, UK; Scotland, UK; Wales, UK
GE Georgia; Republic of Georgia; Sakartvelo
GM Gambia; Gambia, The; Republic of the Gambia
GN Guinea Conakry
GR Hellas; Hellenic Republic
GW Guinea Bissau
HK Hong Kong; HongKong; Hong Kong SAR; Hong Kong, China; China, Hong Kong; Hong Kong S.A.R.; 香港
HR Republic of Croatia; Republika Hrvatska
IE Ireland; Republic of Ireland; Ireland, Republic of; Éire
IN Republic of India; Bharat; Hindustan
IQ Republic of Iraq
IR Islamic Republic of Iran; Iran, Islamic Republic of; Persia
IS Ísland
IT Italian Republic; Repubblica Italiana
JP Nippon; Nihon; にほん; 日本国
KG Kirghizia; Kyrgyz Republic; Kirgizia
KN Saint Kitts; St Kitts; Saint Christopher and Nevis
KP Korea, the Democratic People's Republic of; North Korea; N. Korea; Korea, Dem. Rep.; Korea, Dem. People's Rep.; DPRK; D.P.R.K.; Korea, North; Korea (North); Korea, Democratic People's Republic of; Korea, Democratic Peoples Republic of; Democratic People's Republic of Korea
KR Korea, the Republic of; South Korea; S. Korea; Republic of Korea; Korea, Republic of; Korea, South; Korea (South); Korea, Rep.; Hanguk; 한국; 韓国; 韩国; 韓國
KZ Kazakstan; Republic of Kazakhstan
LA Laos; Lao; Lao PDR; Lao People's Democratic Republic; Lao Peoples Democratic Republic
LC St. Lucia
LK Ceylon
LU Grand Duchy of Luxembourg; Luxemburg; Letzebuerg; Lëtzebuerg
LV Latvija
LY Libyan Arab Jamahiriya; State of Libya
MD Moldavia; Moldawien; Moldova, Republic of; Republic of Moldova
ME Crna Gora
MF Saint Martin; Saint Martin (French part)
MK North Macedonia; Macedonia; FYROM; F.Y.R.O.M.; Republic of North Macedonia; Macedonia, the former Yugoslav Republic of; Former Yugoslav Republic of Macedonia; Severna Makedonija; Nordmazedonien; Macédoine du Nord; Macedonia del Norte; Macedonia del Nord; Noord-Macedonië; Macedônia do Norte
MM Burma; Birma; Birmanie; Myanmar; Republic of the Union of Myanmar
MO Macau; Macao; Macao SAR; Macau SAR; Macao, China; China, Macao; 澳门; 澳門
MX United Mexican States; Estados Unidos Mexicanos
MY Federation of Malaysia
NL Holland; Netherlands; Kingdom of the Netherlands; Nederlands; The Netherland
NZ Aotearoa
PH Philippines; Republic of the Philippines; Philippine Islands; Pilipinas
PL Republic of Poland; Rzeczpospolita Polska
PN Pitcairn Island
PS Palestine; State of Palestine; Palestine, State of; Palestinian Territory; Palestinian Territory, Occupied; Occupied Palestinian Territory; West Bank and Gaza
PT Portuguese Republic; República Portuguesa
RE Reunion; Reunion Island; La Réunion
RO Rumania; Roumania
RU Russia; Russian Federation; РФ; Российская Федерация; Rossiya
SA Kingdom of Saudi Arabia; KSA; K.S.A.; Saudi
SH Saint Helena, Ascension and Tristan da Cunha; Saint Helena
SJ Svalbard; Spitsbergen
SK Slovakia; Slovak Republic
SL Sierra-Leone
SM Republic of San Marino
SS South Sudan
ST Sao Tome; São Tomé
SV Salvador; El Salvador
SX Saint Maarten; St Maarten; Sint Maarten (Dutch part)
SY Syria; Syrian Arab Republic
SZ Swaziland; Eswatini; eSwatini; Kingdom of Eswatini
TC Turks and Caicos
TF French Southern Territories; French Southern and Antarctic Lands
TL East Timor; Timor Leste; Democratic Republic of Timor-Leste
TR Turkey; Türkiye; Turkiye; Republic of Turkey; Republic of Türkiye; Türkiye Cumhuriyeti; Tuerkei
TH Kingdom of Thailand; ประเทศไทย
TT Trinidad; Tobago; Trinidad & Tobago
TW Taiwan; Taiwan, China; Taiwan, Republic of China; Republic of China; Taiwan, R.O.C.; Taiwan, Province of China; Chinese Taipei; 台灣; 臺灣; 台湾; 中華民國
TZ United Republic of Tanzania; Tanzania, United Republic of; Zanzibar
US US; U.S.; USA; U.S.A.; U S A; U S; United States; United States of America; The United States of America; United States (USA); USA - United States of America; US of A; Estados Unidos de América; EEUU; EE. UU.; EE UU; E.U.A.; Vereinigte Staaten von Amerika; États-Unis d'Amérique; Stati Uniti d'America; Verenigde Staten van Amerika; Estados Unidos da América; США; アメリカ; 米国; 美國; 미국
UY Eastern Republic of Uruguay; Oriental Republic of Uruguay
VA Vatican; Vatican City; Vatican City State; Holy See; Holy See (Vatican City State)
VC Saint Vincent; St Vincent; St. Vincent and the Grenadines
VE Venezuela; Bolivarian Republic of Venezuela; Venezuela, Bolivarian Republic of
VG British Virgin Islands; Virgin Islands, British; Virgin Islands (British); BVI
VI US Virgin Islands; U.S. Virgin Islands; United States Virgin Islands; Virgin Islands, U.S.; Virgin Islands (U.S.); USVI
VN Vietnam; Viet Nam; Viet-Nam; Socialist Republic of Vietnam
WF Wallis and Futuna
WS Western Samoa; Samoa
XK Kosovo; Kosova; Republic of Kosovo
ZA RSA; R.S.A.; Republic of South Africa; Suedafrika; Suid-Afrika
AT Oesterreich; Republic of Austria; Republik Österreich
BE Kingdom of Belgium
DK Kingdom of Denmark
FI Republic of Finland
NO Kingdom of Norway
SE Kingdom of Sweden
SG Republic of Singapore
BR Federative Republic of Brazil
AL Shqiperia; Shqipëria
AM Hayastan; Հայաստան
`
