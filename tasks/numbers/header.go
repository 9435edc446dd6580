package numbers

import (
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// How much a header says about a column of numbers. The most telling of a row counts; of equals,
// the first.
const (
	namesNothing = iota
	namesUser    // user, contact
	namesNumber  // number
	namesPhone   // phone, tel
	namesMobile  // phone number, mobile
	namesID      // wa_id, whatsapp
)

// headerNames lists names that people give a column of phone numbers, by how telling they are.
// They are compared by their letters alone: spaces, signs, digits, accents and case don't matter.
var headerNames = map[int]string{ //nolint:gochecknoglobals // never changes
	namesUser:   `user, users, contact, contacts, recipient, recipients, destinatario, destinatarios, empfänger, destinataire`,
	namesNumber: `number, numbers, número, numéro, numero, nummer, numer, číslo, număr, numara, nomor, nombor, номер, αριθμός, رقم, الرقم, שם מספר, מספר, شماره, नंबर, নম্বর, 号码, 號碼, 番号, 번호`,
	namesPhone: `phone, phones, tel, tel no, tel nr, telephone, telephones, fon, fone, phone no, contact number, contact no, contact phone, landline,
		teléfono, teléfonos, tfno, tlf, telefone, telefones, telefon, téléphone, telefono, telefoon, puhelin, telepon, telp, no telp, no telepon, điện thoại, simu,
		телефон, тел, τηλέφωνο, هاتف, الهاتف, تلفون, تليفون, טלפון, تلفن, फ़ोन, फोन, দূরভাষ, ফোন, தொலைபேசி, ఫోన్, โทรศัพท์, โทร, 电话, 電話, 전화, 연락처, 联系电话, 聯絡電話`,
	namesMobile: `phone number, phone numbers, phone nr, telephone number, mobile, mobile no, mobile number, mobile phone, mobile phone number, cell, cell no, cell number, cell phone,
		cellphone number, handphone, handset, gsm, gsm number, msisdn, e164, phone e164, e164 phone, international phone, contact mobile,
		celular, móvil, teléfono móvil, teléfono celular, número de teléfono, número teléfono, número telefónico, número de celular, número celular, número de móvil, número móvil, núm teléfono, n teléfono, nro de teléfono, nro de celular, nro celular,
		telemóvel, telefone celular, número de telefone, número do telefone, número telefone, número de telemóvel, número do celular, nº de telefone, nº do celular, n telefone, n celular,
		portable, téléphone portable, téléphone mobile, tél portable, tél mobile, numéro de téléphone, numéro téléphone, numéro de portable, numéro de mobile, numéro mobile, n de téléphone,
		handy, handynummer, handynr, mobil, mobilnummer, mobilnr, mobiltelefon, mobilfunknummer, telefonnummer, telefonnr, rufnummer, rufnr,
		cellulare, cell, numero di telefono, numero telefono, numero di cellulare, numero cellulare, telefono cellulare, telefono mobile,
		mobiel, mobiel nummer, mobiele telefoon, telefoonnummer, gsm nummer, puhelinnumero, matkapuhelin, kännykkä,
		numer telefonu, nr telefonu, telefon komórkowy, komórka, numer komórkowy, telefonní číslo, telefónne číslo, číslo telefonu, telefonszám, mobilszám, număr de telefon, număr telefon, nr telefon, telefon mobil, broj telefona, mobitel, broj mobitela,
		telefon numarası, telefon no, cep telefonu, cep telefonu numarası, cep no, cep tel, gsm no,
		nomor hp, no hp, hp, nomor telepon, nomor ponsel, nomor handphone, no handphone, ponsel, nombor telefon, no telefon, no tel, telefon bimbit,
		số điện thoại, sđt, sdt, di động, đtdđ, số di động, namba ya simu,
		номер телефона, мобильный, мобильный телефон, мобильный номер, номер мобильного, сотовый, сотовый телефон, моб тел, номер телефону, мобільний, мобільний телефон, телефонен номер, мобилен,
		κινητό, κινητό τηλέφωνο, αριθμός τηλεφώνου,
		رقم الهاتف, رقم الجوال, الجوال, جوال, رقم الموبايل, الموبايل, موبايل, المحمول, رقم المحمول, رقم الهاتف المحمول, رقم التلفون, رقم التليفون, النقال,
		נייד, טלפון נייד, מספר טלפון, מספר נייד, פלאפון, شماره تلفن, شماره موبایل, موبایل, تلفن همراه, شماره همراه, موبائل نمبر, فون نمبر,
		मोबाइल, मोबाइल नंबर, मोबाइल नम्बर, फ़ोन नंबर, फोन नंबर, মোবাইল, মোবাইল নম্বর, ফোন নম্বর, மொபைல், தொலைபேசி எண், கைபேசி, கைபேசி எண், మొబైల్, మొబైల్ నంబర్, ఫోన్ నంబర్,
		เบอร์โทร, เบอร์โทรศัพท์, เบอร์มือถือ, มือถือ, หมายเลขโทรศัพท์,
		手机, 手机号, 手机号码, 电话号码, 手機, 手機號碼, 電話號碼, 行動電話, 電話番号, 携帯, 携帯番号, 携帯電話, 携帯電話番号, 전화번호, 휴대폰, 휴대폰 번호, 핸드폰, 핸드폰 번호, 휴대전화, 휴대전화 번호`,
	namesID: `wa id, whatsapp, whatsapp id, whatsapp no, whatsapp nr, whatsapp number, whatsapp phone, whatsapp phone number, whatsapp mobile, whatsapp mobile number, whatsapp contact, wa, wa no, wa number,
		whatsapp user, número de whatsapp, número whatsapp, whatsapp número, teléfono whatsapp, telefone whatsapp, celular whatsapp, zap, numéro whatsapp, whatsapp nummer, nomor whatsapp, no whatsapp, nomor wa,
		номер whatsapp, ватсап, вотсап, رقم الواتساب, رقم واتساب, واتساب, واتس اب, וואטסאפ, व्हाट्सएप, व्हाट्सएप नंबर, 왓츠앱, whatsapp号码, whatsapp 電話番号`,
}

// owners may stand before a name of namesPhone and above: whose phone, or which.
const owners = `customer, client, contact, user, primary, main, home, work, business, office, personal, private, recipient, lead, guest, member, buyer,
	billing, shipping, default, default address, owner, registered, full, formatted, international, cliente, del cliente, do cliente`

// countryNames lists names of a column that holds each number's country.
const countryNames = `country code, country, country calling code, calling code, dial code, dialing code, dialling code, isd, isd code, phone country code, phone country, mobile country code, iso country, iso country code, country iso,
	código de país, código país, código del país, país, código do país, ddi, code pays, pays, indicatif, indicatif pays, ländercode, landesvorwahl, ländervorwahl, land, codice paese, paese, prefisso internazionale,
	landcode, landnummer, ülke kodu, ülke, kode negara, negara, код страны, страна, 国家代码, 国家区号, 国家, 国番号, 국가 코드, 국가번호, 국가, رمز الدولة, كود الدولة, مفتاح الدولة, देश कोड`

// headerKey returns the letters and digits of a header, without accents and case.
func headerKey(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mc, r) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFKD.String(s))
}

func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}

type vocabulary struct {
	numbers map[string]int
	country map[string]bool
}

var words = sync.OnceValue(func() vocabulary { //nolint:gochecknoglobals // never changes
	v := vocabulary{numbers: map[string]int{}, country: map[string]bool{}}
	for telling, names := range headerNames {
		for name := range strings.SplitSeq(names, ",") {
			key := headerKey(name)
			v.numbers[key] = max(v.numbers[key], telling)
		}
	}
	for key, telling := range v.numbers {
		if telling < namesPhone {
			continue
		}
		for owner := range strings.SplitSeq(owners, ",") {
			if owned := headerKey(owner) + key; v.numbers[owned] == namesNothing {
				v.numbers[owned] = telling
			}
		}
	}
	for name := range strings.SplitSeq(countryNames, ",") {
		v.country[headerKey(name)] = true
	}
	return v
})

// tells returns how much a header says about a column of numbers.
func tells(header string) int {
	key := headerKey(header)
	telling := words().numbers[key]
	if telling == namesNothing {
		key = withoutDigits(key) // "Phone 2", and "Phone 1 - Value" of Google's contacts
		telling = max(words().numbers[key], words().numbers[strings.TrimSuffix(key, "value")])
	}
	return telling
}

// namesCountry reports whether a header is that of a column of countries.
func namesCountry(header string) bool { return words().country[headerKey(header)] }

// isWaID reports whether a header promises WhatsApp IDs, which have their country code.
func isWaID(header string) bool {
	key := headerKey(header)
	return key == "waid" || key == "whatsappid"
}
