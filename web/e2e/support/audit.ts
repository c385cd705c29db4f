import type { Page } from 'playwright-core';

/**
 * What no answer may contain, in words; empty where all is well. The answers' own text is data: this looks at
 * the elements that the page has made of it.
 */
export async function auditAnswers(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found: string[] = [];
    if ('ran' in globalThis) found.push('a script has run, or an element has taken its name');
    const forbidden =
      'script, iframe, frame, object, embed, portal, base, meta, link, style, form, textarea, select, video, audio, ' +
      'source, template, noscript, marquee, img, image, use, animate, set, foreignObject, maction, annotation-xml';
    for (const answer of document.querySelectorAll('article')) {
      for (const element of answer.querySelectorAll(forbidden)) found.push(`<${element.localName}>`);
      for (const element of answer.querySelectorAll('*')) {
        for (const { name, value } of element.attributes) {
          if (/^on/i.test(name) || /^(srcdoc|formaction|action|xlink:href)$/i.test(name)) {
            found.push(`${name}=${value}`);
          }
          const isLink = /^(href|src|srcset|data|poster|background|ping)$/i.test(name);
          if (isLink && !/^(https?:\/\/|mailto:|#)/i.test(value)) found.push(`${name}=${value}`);
        }
        if (getComputedStyle(element).position === 'fixed') found.push(`<${element.localName}> is fixed`);
      }
      for (const link of answer.querySelectorAll<HTMLAnchorElement>('a[href]')) {
        const leaves = link.origin !== location.origin;
        if (leaves && (link.target !== '_blank' || !link.relList.contains('noopener'))) {
          found.push(`link without noopener: ${link.href}`);
        }
        if (!leaves) found.push(`link to the page itself: ${link.href}`);
      }
    }
    return [...new Set(found)].map((problem) => problem.slice(0, 200));
  });
}
