/** Character references of HTML, as models write them. Others stay as they are. */

const NAMES =
  'amp & lt < gt > quot " apos \' nbsp \u00a0 copy © reg ® trade ™ hellip … mdash — ndash – lsquo ‘ rsquo ’ ' +
  'ldquo “ rdquo ” laquo « raquo » bull • middot · sect § para ¶ deg ° plusmn ± times × divide ÷ minus − ' +
  'frac12 ½ frac14 ¼ frac34 ¾ sup1 ¹ sup2 ² sup3 ³ micro µ euro € pound £ yen ¥ cent ¢ larr ← uarr ↑ rarr → ' +
  'darr ↓ harr ↔ rArr ⇒ lArr ⇐ hArr ⇔ forall ∀ exist ∃ empty ∅ isin ∈ notin ∉ sum ∑ prod ∏ radic √ infin ∞ ' +
  'and ∧ or ∨ cap ∩ cup ∪ int ∫ asymp ≈ ne ≠ equiv ≡ le ≤ ge ≥ sub ⊂ sup ⊃ sube ⊆ supe ⊇ alpha α beta β ' +
  'gamma γ delta δ epsilon ε theta θ lambda λ mu μ pi π rho ρ sigma σ tau τ phi φ omega ω Delta Δ Omega Ω ' +
  'auml ä ouml ö uuml ü Auml Ä Ouml Ö Uuml Ü szlig ß eacute é egrave è agrave à ccedil ç ntilde ñ aring å ' +
  'oslash ø check ✓ star ☆ hearts ♥ iexcl ¡ iquest ¿ ensp \u2002 emsp \u2003 thinsp \u2009 shy \u00ad';

const CHARACTERS = new Map(pairs(NAMES.split(' ')));

export function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([A-Za-z]\w{1,31}));/g, decode);
}

function decode(reference: string, decimal?: string, hexadecimal?: string, name?: string): string {
  if (name !== undefined) return CHARACTERS.get(name) ?? reference;
  const code = decimal === undefined ? parseInt(hexadecimal ?? '', 16) : Number(decimal);
  const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return isCharacter ? String.fromCodePoint(code) : '\ufffd';
}

function pairs(words: readonly string[]): [string, string][] {
  const result: [string, string][] = [];
  for (let index = 0; index + 1 < words.length; index += 2) {
    result.push([words[index] ?? '', words[index + 1] ?? '']);
  }
  return result;
}
