//! What is read of names and links of licenses.

use super::*;

#[test]
fn every_spelling_is_one() {
    for (name, url, expected) in [
        ("CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0", "CC-BY-SA-4.0"),
        ("CC BY SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-SA-4.0"),
        ("cc-by-sa-4.0", "", "CC-BY-SA-4.0"),
        ("CC-BY-SA-4.0", "", "CC-BY-SA-4.0"),
        ("CC_BY_SA_4.0", "", "CC-BY-SA-4.0"),
        ("", "http://www.creativecommons.org/licenses/by-nc/2.0/deed.en", "CC-BY-NC-2.0"),
        ("CC BY", "https://creativecommons.org/licenses/by/2.0/", "CC-BY-2.0"),
        ("by-nc-nd 2.0", "https://creativecommons.org/licenses/by-nc-nd/2.0/", "CC-BY-NC-ND-2.0"),
        ("CC BY-ND-NC 2.0", "", "CC-BY-NC-ND-2.0"),
        (
            "CC BY-SA 3.0 de",
            "https://creativecommons.org/licenses/by-sa/3.0/de/deed.en",
            "CC-BY-SA-3.0-DE",
        ),
        ("by 3.0", "https://creativecommons.org/licenses/by/3.0/igo/", "CC-BY-3.0-IGO"),
        ("CC BY 2.0 kr", "", "CC-BY-2.0-KR"),
        ("CC BY 3.0 us", "https://creativecommons.org/licenses/by/3.0/", "CC-BY-3.0-US"),
        ("CC BY-SA 3.0 Unported", "", "CC-BY-SA-3.0"),
        ("CC0", "http://creativecommons.org/publicdomain/zero/1.0/deed.en", "CC0-1.0"),
        ("cc0 1.0", "", "CC0-1.0"),
        ("cc0", "", "CC0-1.0"),
        ("CC-Zero", "", "CC0-1.0"),
        ("pdm 1.0", "https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("CC PDM", "", "CC-PDM-1.0"),
        // iNaturalist's.
        (
            "Public Domain Dedication",
            "http://creativecommons.org/publicdomain/zero/1.0/",
            "CC0-1.0",
        ),
        (
            "Attribution-NonCommercial-ShareAlike License",
            "http://creativecommons.org/licenses/by-nc-sa/4.0/",
            "CC-BY-NC-SA-4.0",
        ),
        // What is not of Creative Commons, or of several versions, is what the service calls it.
        ("Public domain", "", "Public domain"),
        ("Public domain", "https://creativecommons.org/publicdomain/mark/1.0/", "Public domain"),
        ("CC BY-SA 3.0,2.5", "https://creativecommons.org/licenses/by-sa/3.0/", "CC BY-SA 3.0,2.5"),
        ("GFDL 1.2", "https://www.gnu.org/copyleft/fdl.html", "GFDL 1.2"),
        ("CC BY-SA 4.0,3.0,2.5,2.0,1.0", "", "CC BY-SA 4.0,3.0,2.5,2.0,1.0"),
        ("CC SA 1.0", "http://creativecommons.org/licenses/sa/1.0/", "CC SA 1.0"),
        ("sampling+ 1.0", "", "sampling+ 1.0"),
        ("Attribution", "", "Attribution"),
        ("MIT", "", "MIT"),
    ] {
        assert_eq!(license(name, url).as_deref(), Some(expected), "{name} at {url}");
    }
}

#[test]
fn what_is_not_sure_is_no_license() {
    for (name, url) in [
        ("", ""),
        (" ", "https://example.org/license"),
        ("by", ""),
        ("by-nc", "https://creativecommons.org/licenses/by/2.0/"),
        ("CC BY 4.0", "https://creativecommons.org/licenses/by-nc/4.0/"),
        ("CC BY 4.0", "https://creativecommons.org/licenses/by/3.0/"),
        ("CC BY 3.0 de", "https://creativecommons.org/licenses/by/3.0/at/"),
        ("cc0 1.0", "https://creativecommons.org/licenses/by/4.0/"),
        ("Public domain", "https://creativecommons.org/licenses/by/4.0/"),
        ("GFDL 1.2", "https://creativecommons.org/licenses/by-sa/3.0/"),
        ("CC BY-NC 3.0,2.5", "https://creativecommons.org/licenses/by/3.0/"),
        ("CC BY-SA", "https://www.example.org/"),
    ] {
        assert_eq!(license(name, url), None, "{name} at {url}");
    }
}

#[test]
fn long_names_are_those_of_the_short_ones() {
    for (name, link, expected) in [
        ("Creative Commons Attribution 4.0", "licenses/by/4.0/", "CC-BY-4.0"),
        ("Creative Commons Attribution 4.0 (International)", "licenses/by/4.0/", "CC-BY-4.0"),
        ("Creative Commons Attribution 4.0 International Public License", "", "CC-BY-4.0"),
        ("Creative Commons Attribution Share Alike 4.0 International", "", "CC-BY-SA-4.0"),
        ("Creative Commons Attribution-ShareAlike 3.0 Unported License", "", "CC-BY-SA-3.0"),
        ("Creative Commons Attribution-NonCommercial 2.0 Generic", "", "CC-BY-NC-2.0"),
        ("Creative Commons Attribution-NoDerivs 3.0", "licenses/by-nd/3.0/", "CC-BY-ND-3.0"),
        ("Creative Commons Attribution-No Derivative Works 2.5", "", "CC-BY-ND-2.5"),
        (
            "Creative Commons Attribution Non Commercial No Derivatives 4.0 International",
            "",
            "CC-BY-NC-ND-4.0",
        ),
        (
            "creative commons attribution-noncommercial-sharealike 4.0",
            "licenses/by-nc-sa/4.0/legalcode.de",
            "CC-BY-NC-SA-4.0",
        ),
        ("Attribution-ShareAlike 4.0 International", "licenses/by-sa/4.0/deed.en", "CC-BY-SA-4.0"),
        ("Attribution 4.0 International (CC BY 4.0)", "licenses/by/4.0/", "CC-BY-4.0"),
        ("CC BY 4.0 Attribution 4.0 International Deed", "", "CC-BY-4.0"),
        ("Creative Commons", "licenses/by/4.0/", "CC-BY-4.0"),
        ("Creative Commons Zero", "", "CC0-1.0"),
        ("Creative Commons Zero v1.0 Universal", "publicdomain/zero/1.0/", "CC0-1.0"),
        ("Creative Commons Zero, Public Domain Dedication", "", "CC0-1.0"),
        ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "", "CC0-1.0"),
        ("CC0 Public Domain", "publicdomain/zero/1.0/", "CC0-1.0"),
        ("Public Domain Mark 1.0", "publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("Creative Commons Public Domain Mark 1.0 Universal", "", "CC-PDM-1.0"),
    ] {
        let url = match link {
            "" => String::new(),
            path => format!("https://creativecommons.org/{path}"),
        };
        assert_eq!(license(name, &url).as_deref(), Some(expected), "{name} at {url}");
    }
}

#[test]
fn only_ported_licenses_have_a_jurisdiction() {
    for (path, expected) in [
        ("by/4.0/en", "CC-BY-4.0"),
        ("by/4.0/de/", "CC-BY-4.0"),
        ("by/4.0/deed.zh-hans", "CC-BY-4.0"),
        ("by/4.0/legalcode.de", "CC-BY-4.0"),
        ("by/3.0/en", "CC-BY-3.0"),
        ("by/3.0/zh-tw", "CC-BY-3.0"),
        ("by/3.0/igo/legalcode", "CC-BY-3.0-IGO"),
        ("by-sa/2.0/uk/", "CC-BY-SA-2.0-UK"),
        ("by/2.5/scotland/deed.gd", "CC-BY-2.5-SCOTLAND"),
        ("BY-NC/3.0/US/", "CC-BY-NC-3.0-US"),
    ] {
        let url = format!("https://creativecommons.org/licenses/{path}");
        assert_eq!(license("", &url).as_deref(), Some(expected), "{url}");
    }
    let zero = "https://creativecommons.org/publicdomain/zero/1.0/de";
    assert_eq!(license("", zero).as_deref(), Some("CC0-1.0"));
    for (name, expected) in [
        ("CC BY 4.0 en", Some("CC-BY-4.0")),
        ("CC BY 4.0 de", Some("CC-BY-4.0")),
        ("CC BY-SA 3.0 SCOTLAND", Some("CC-BY-SA-3.0-SCOTLAND")),
        ("CC BY 3.0 igo", Some("CC-BY-3.0-IGO")),
        // What is not clear.
        ("CC BY 4.0 NC", None),
        ("CC BY 4.0 SA", None),
        ("CC-BY-4.0-NC-ND", None),
        ("CC BY 4.0 NonCommercial", None),
        ("CC BY 4.0 IGO", None),
        ("CC BY 3.0 XYZ", None),
        ("CC BY 3.0 Unported de", None),
        ("CC BY 3.0 de Unported", None),
    ] {
        assert_eq!(license(name, "").as_deref(), expected, "{name}");
    }
    let germany = "https://creativecommons.org/licenses/by/3.0/de/";
    assert_eq!(license("CC BY 3.0 Unported", germany), None);
}

#[test]
fn a_link_is_of_creative_commons_by_its_host() {
    for url in [
        "https://evilcreativecommons.org/publicdomain/zero/1.0/",
        "https://example.com/terms?not=creativecommons.org/publicdomain/zero/1.0/",
        "https://example.com/creativecommons.org/publicdomain/zero/1.0/",
        "https://example.com/#creativecommons.org/publicdomain/zero/1.0/",
        "https://creativecommons.org.example.com/publicdomain/zero/1.0/",
        "https://creativecommons.org@example.com/publicdomain/zero/1.0/",
        "https://my.creativecommons.org/publicdomain/zero/1.0/",
        "https://creativecommons.org:8443/publicdomain/zero/1.0/",
        "https://creativecommons.com/publicdomain/zero/1.0/",
        "ftp://creativecommons.org/publicdomain/zero/1.0/",
        "javascript:creativecommons.org/publicdomain/zero/1.0/",
        "https://creativecommons.org/?u=/publicdomain/zero/1.0/",
        "https://creativecommons.org/about/publicdomain/zero/1.0/",
        "https://creativecommons.org/publicdomain/zero/4.0/",
        "https://creativecommons.org/publicdomain/zero%2f1.0/",
        "https://creativecommons.org/licenses/by/7.3/",
        "https://creativecommons.org/licenses/by-sa-nd/4.0/",
        "https://creativecommons.org/licenses/by/4.0/nc",
        "https://creativecommons.org/licenses/by/",
        "https://creativecommons.org/licenses/",
    ] {
        assert_eq!(license("", url), None, "{url}");
    }
    for url in [
        "http://creativecommons.org/publicdomain/zero/1.0",
        "HTTPS://WWW.CreativeCommons.org/publicdomain/zero/1.0/deed.en",
        "//creativecommons.org/publicdomain/zero/1.0/",
        " https://creativecommons.org:443/publicdomain/zero/1.0/legalcode?ref=x#y ",
    ] {
        assert_eq!(license("", url).as_deref(), Some("CC0-1.0"), "{url}");
    }
    // A page that is of no one license contradicts none.
    let about = "https://creativecommons.org/licenses/";
    assert_eq!(license("CC BY 4.0", about).as_deref(), Some("CC-BY-4.0"));
    for other in ["sa/1.0/", "by/7.3/", "by-sa/", "nc-sampling+/1.0/"] {
        let url = format!("https://creativecommons.org/licenses/{other}");
        assert_eq!(license("CC BY 4.0", &url), None, "{url}");
    }
}

#[test]
fn the_codes_of_one_service_are_no_names() {
    for name in ["0", "zero", "Zero", "by", "by 4.0", "BY-NC-SA 4.0", "pdm", "pdm 1.0", "0 1.0"] {
        assert_eq!(license(name, ""), None, "{name}");
    }
    let zero = "https://creativecommons.org/publicdomain/zero/1.0/";
    assert_eq!(license("zero", zero).as_deref(), Some("CC0-1.0"));
    assert_eq!(license("by", zero), None);
}
