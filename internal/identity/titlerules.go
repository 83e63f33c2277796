package identity

// departmentRules: the first row that matches names the department, so what is
// more telling stands above: a sales engineer sells, an engineer in support
// supports. The rows on top mend what the order would get wrong.
//
//nolint:misspell // the words of seven languages
var departmentRules = []struct{ department, patterns string }{
	{"engineering", `design engineer, product engineer, product engineering, product developer, produktentwickl*, salesforce developer,
		salesforce administrator, salesforce admin, salesforce consultant, product security`},
	{"operations", `traffic controller, quality controller, controller qualität, contrôleur qualité`},
	{"executive", `administrador delegado, administradora delegada, chief of staff`},
	{"people", `people operations, people ops, hr operations`},
	{"", `personal trainer, personal shopper`},

	{"legal", `legal*, lawyer*, attorney*, counsel, solicitor*, barrister*, paralegal*, compliance*, data protection, privacy officer,
		datenschutz*, jurist*, justiziar*, rechtsanwalt*, rechtsanwält*, anwalt*, anwältin*, syndikus*, rechtsabteilung*,
		avocat*, juridi*, giuridic*, notaire*, notar, notarin, abogad*, advogad*, avvocat*, advocaat*, bedrijfsjurist*`},

	{"people", `hr, hrbp, chro, drh, rh, rrhh, human resource, human resources, human capital, people, recruit*, talent, talents,
		talent acquisition, personalleit*, personalref*, personalabteil*, personalchef*, personalentwickl*, personalverantw*,
		personalmanag*, personalwesen, personalsach*, personaler, personalerin, leiter personal, leiterin personal, leitung personal,
		ressources humaines, recursos humanos, risorse umane, recrut*, reclut*, werving*, personeel*, learning and development,
		employer branding, employee experience, compensation and benefits, p&o, selección, selezione, seleção, del personale,
		jefe de personal, jefa de personal, chef du personnel, directeur du personnel, gestão de pessoas, gestión de personas,
		departamento pessoal, ausbildungsleit*, gente e gestão, ufficio personale, selezionat*`},

	{"finance", `financ*, finanz*, financieel, accountant*, accounting, accountancy, accounts payable, accounts receivable, bookkeep*,
		controller, controllers, controllerin, controlling, contab*, contable*, contador*, comptab*, commercialista, commercialisti, tesour*, interventor*, salaris*, buchhalt*, *buchhalter, *buchhalterin,
		*buchhaltung, boekhoud*, bilanz*, steuerberat*, steuerfach*, steuern, tax, treasur*, tesorer*, tesorier*, trésor*, auditor*,
		audit, auditeur*, revisor*, wirtschaftsprüf*, fiscal*, fiscaal, payroll, cfo, daf, ragionier*, investment*, investor relations,
		billing, facturation, rechnungswesen, debitoren*, kreditoren*, banker*, actuar*, controllo di gestione, contrôleur de gestion,
		contrôle de gestion, risk manager`},

	{"support", `support*, *support, customer success, customer care, customer service, customer services, customer experience,
		client service, client services, client success, helpdesk*, help desk, service desk, servicedesk*, kundenservice*,
		kundendienst*, kundenbetreu*, kundenberat*, hotline, service client, service clients, relation client, clientèle, atención al cliente,
		servicio al cliente, soporte*, assistenza, servizio clienti, klantenservice*, klantcontact*, apoio ao cliente, suporte*,
		atendimento*, atendente*, teleoperad*, call center, call centre, callcenter, contact center, contact centre`},

	{"design", `design, designer*, designs, *designer, *designerin, *design, ux, ui, user experience, user research, user researcher,
		grafik*, *grafiker, *grafikerin, graphi*, grafic*, grafist*, diseñ*, gestalter*, *gestalter, *gestalterin, art director,
		creative, directeur artistique, directrice artistique, director creativo, directora creativa, direttore creativo, direttrice creativa,
		director de arte, directora de arte, diretor de arte, diretora de arte, ontwerp*,
		vormgev*, illustrat*`},

	{"marketing", `marketing*, *marketing, mkt, cmo, brand, seo, content, copywriter*, social media, community manager,
		public relations, communication*, kommunikation*, *kommunikation, comunica*, communicatie*, growth, demand generation,
		lead generation, werbung, werbe*, publicidad*, publicit*, pressesprech*, press officer, attaché de presse,
		attachée de presse, relations presse, relations publiques, öffentlichkeitsarbeit, pressereferent*, publicist*, prensa, imprensa,
		addetto stampa, addetta stampa, ufficio stampa, event, events, eventmanag*, advertising, relaciones públicas, pr manager, pr specialist, pr officer, head of pr`},

	{"sales", `sales*, presales, pre sales, vertrieb*, *vertrieb, verkauf*, verkäuf*, *verkauf, *verkäufer, *verkäuferin,
		account manager, account executive, account director, account management, accountmanag*, key account, business development,
		bdr, sdr, bdm, cro, cco, commercial*, comercial*, ventas, vente, ventes, vendeu*, vendedor*, vendas, vendit*, verkoop*,
		verkoper*, *verkoper, channel manager, partner manager, partnership*, relationship manager, revenue, außendienst*,
		territory manager, *verkaufsleiter, *verkaufsleiterin, dependient*, tienda, vertegenwoordig*,
		innendienst*, binnendienst*, buitendienst*, commercieel*, d'affaires, grands comptes, ejecutivo de cuentas,
		ejecutiva de cuentas, executivo de contas, executiva de contas, gerente de contas, handelsvertret*, agente di commercio`},

	{"product", `product, products, productmanag*, produkt, produktmanag*, produktleit*, produktverantw*, produit, produits, producto,
		productos, produto, produtos, prodotto, prodotti, cpo`},

	{"engineering", `engineer*, *engineer, developer*, *developer, development, software*, entwickl*, *entwickler, *entwicklerin,
		*entwicklung, programmer*, programmier*, programmeu*, programad*, programmator*, devops, sre, site reliability, technology,
		technologies, information technology, tech, technical, it, edv, informatik*, *informatiker, *informatikerin, informatiq*,
		informatic*, informaticien*, data, machine learning, ai, architect, architekt*, *architekt, *architektin, arquitect*,
		arquitet*, architett*, architecte*, technicien*, techniker*, *techniker, technician*, tecnic*, technisch*, cto, cio, ciso,
		ingenieur*, *ingenieur, *ingenieurin, ingénieur*, ingeni*, ingegner*, engenh*, développeu*, desarroll*, desenvolv*,
		sviluppat*, ontwikkel*, *ontwikkelaar, systemadmin*, system administrator, systems administrator, network administrator,
		sysadmin, sysadmins, administrador de sistemas, sistemas, systèmes d'information, sistemi informativi, dsi, administrateur système, administrateur systèmes, administrateur réseau,
		sistemista*, systeembeheer*, applicatie*, netzwerk*, netwerk*, cybersecurity, cyber security, information security, informationssicherheit*, qa,
		quality assurance, tester*, *tester, frontend, backend, fullstack, full stack, front end, back end, research*, r and d,
		forschung*, forscher*, recherche et développement, scrum master, webmaster, konstrukteur*`},

	{"operations", `operation*, operating, ops, coo, operativ*, opérations, operacion*, operazion*, operaç*, logist*, supply chain, procurement,
		purchas*, buyer*, einkauf*, einkäuf*, *einkauf, *einkäufer, achat*, acheteu*, compras, comprador*, acquist*, inkoop*, inkoper*,
		lager*, warehouse*, magazz*, magasinier*, magazijn*, almacen*, almoxarif*, production, produktion*, producción, produzione, produção, productie*, manufactur*,
		fertigung*, fabrication, approvisionn*, spedition*, werkleit*, werksleit*, betriebsleit*, chef de chantier, security guard, project manager, project management, project leader, program manager, programme manager,
		projektleit*, projektmanag*, projectmanag*, projectleid*, chef de projet, cheffe de projet, jefe de proyecto, jefe de proyectos,
		capo progetto, gestor de projeto, gestor de projetos, office manager, facilit*, quality, qualität*, qualité, calidad,
		qualità, qualidade, kwaliteit*, dispatcher*, disponent*, planner*, assistan*, assistent*, *assistent, *assistentin,
		*assistenz, asistent*, secretar*, *secretaresse, *sekretärin, secrétaire*, segretari*, sekret*, administrat*, administra*, amministrativ*, verwaltung*, receptionist*, recepcionist*,
		réceptionniste*, empfang*`},

	{"executive", `ceo, founder*, cofounder*, owner, owners, president*, präsident*, managing director, managing partner,
		general manager, executive director, chief executive, board member, of the board, chairman, chairwoman, chairperson,
		geschäftsführ*, geschäftsleit*, vorstand*, inhaber*, gesellschafter*, unternehmer*, gründer*, eigentümer*, pdg,
		directeur général, directrice générale, gérant, gérante, director general, directora general, consejero delegado,
		consejera delegada, gerente general, propietari*, proprietari*, propriétaire*, dueño, dueña, direttore generale,
		direttrice generale, amministratore delegato, amministratrice delegata, amministratore unico, titolare, diretor geral,
		diretora geral, diretor executivo, diretora executiva, algemeen directeur, eigenaar*, eigenares*, bestuurder*,
		zaakvoerder*, oprichter*, fondat*, fundador*, entrepreneur*`},
}

// seniorityRules: the first row that matches gives the rank.
//
//nolint:misspell // the words of seven languages
var seniorityRules = []struct {
	rank     int
	patterns string
}{
	{rankChief, `secretary general, secretario general, secrétaire général`},
	{rankDirector, `chief of staff, assistant vice president, deputy ceo`},
	{rankSenior, `assistant manager, assistant director, assistant professor, chief engineer, chief accountant`},
	{rankContributor, `product owner, process owner, system owner, *begleiter, *begleiterin, halbleiter*`},
	{rankJunior, `intern, interns, internship, trainee*, apprentic*, apprenti, apprentie, alternan*, student*, *student, *studentin,
		estudiante*, étudiant*, studente*, estudante*, werkstud*, praktik*, *praktikant, *praktikantin, azubi*, auszubild*, lehrling*,
		stagiair*, stagist*, tirocin*, becari*, practicante*, estagiári*, aprendiz*, volontär*, graduate, junior*, jr,
		assistan*, assistent*, *assistent, *assistentin, *assistenz, asistent*, secretar*, secrétaire*, segretari*, sekret*, aushilf*`},
	{rankDirector, `vice president*, vice president, vice presidente, vice presidenta, vicepresident*, vizepräsident*, vp, svp, evp, avp,
		viceprésident*`},
	{rankChief, `ceo, cto, cfo, coo, cmo, cio, ciso, cro, chro, cpo, cco, cdo, cso, clo, chief, founder*, cofounder*, owner, owners,
		president*, präsident*, managing director, executive director, general manager, managing partner, founding partner,
		general partner, senior partner, chairman, chairwoman, chairperson, board member, of the board, geschäftsführ*,
		geschäftsleit*, vorstand*, aufsichtsrat*, inhaber*, gesellschafter*, unternehmer*, gründer*, eigentümer*, pdg,
		directeur général, directrice générale, gérant, gérante, director general, directora general, gerente general,
		consejero delegado, consejera delegada, administrador delegado, administradora delegada, propietari*, proprietari*,
		propriétaire*, dueño, dueña, fundador*, fondat*, direttore generale, direttrice generale, amministratore delegato,
		amministratrice delegata, amministratore unico, titolare, diretor geral, diretora geral, diretor executivo,
		diretora executiva, algemeen directeur, eigenaar*, eigenares*, bestuurder*, zaakvoerder*, oprichter*, entrepreneur*`},
	{rankDirector, `director, directors, directora*, direktor*, directeur*, directrice*, direttor*, direttric*, diretor*, *direktor, *direktorin, *directeur,
		subdirector*, vicedirector*, vicedirettor*, drh, daf, dsi, head, hoofd*,
		*hoofd, bereichsleit*, hauptabteilungsleit*, prokurist*, dirigente`},
	{rankContributor, `account manager, accountmanag*, product manager, produktmanag*, productmanag*, project manager, project leader,
		projektmanag*, projectmanag*, projektleit*, projectleid*, program manager, programme manager, community manager,
		office manager, case manager, content manager, media manager, success manager, partner manager, channel manager,
		event manager, eventmanag*, brand manager, campaign manager, relationship manager, chef de projet, chef de produit,
		cheffe de projet, cheffe de produit, territory manager,
		jefe de proyecto, jefe de proyectos, jefe de producto, capo progetto, gestor de projeto, gestor de projetos,
		gestor de contas, gestor de cuentas, risk manager`},
	{rankManager, `manager*, *manager, *managerin, leiter, leiterin, *leiter, *leiterin, leitung, *leitung, team lead, team leader,
		teamlead*, teamleid*, teamchef*, leader, group leader, chef de service, chef d équipe, chef de groupe, chef des ventes, cheffe de service, cheffe d'équipe, cheffe de groupe, cheffe des ventes,
		responsable*, responsabile*, responsável, gerente*, gestor, gestora, jefe, jefa, chefe, encargad*, capo, supervis*,
		superviseu*, leidinggevend*, vorgesetzt*`},
	{rankSenior, seniorPatterns},
}

// seniorPatterns lift a title that is no manager's, senior account managers
// included: they manage accounts.
const seniorPatterns = `senior*, sr, lead, principal, leitend*, expert*, esperto, esperta, staff engineer, staff software,
	staff scientist, staff developer`
