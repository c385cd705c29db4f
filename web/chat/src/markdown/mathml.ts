/** TeX to React elements of MathML. Temml's tree is copied by a list of allowed elements, never as HTML. */
import { createElement, type CSSProperties, type ReactNode } from 'react';
import temml from 'temml';

const LONGEST_TEX = 5000;

const ELEMENTS = new Set(
  (
    'math menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ' +
    'mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none semantics'
  ).split(' '),
);
const ATTRIBUTES = new Set(
  (
    'accent accentunder columnalign columnlines columnspacing columnspan depth display displaystyle fence form ' +
    'height largeop linethickness lspace mathvariant maxsize minsize movablelimits notation rowalign rowlines ' +
    'rowspacing rowspan rspace scriptlevel separator stretchy symmetric voffset width'
  ).split(' '),
);

interface MathNode {
  readonly type?: string;
  readonly text?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly style?: Readonly<Record<string, string>>;
  readonly classes?: readonly string[];
  readonly children?: readonly MathNode[];
}

/** A formula, or undefined where it is too long or no TeX. */
export function renderMath(tex: string, isDisplay: boolean): ReactNode | undefined {
  if (tex.length > LONGEST_TEX) return undefined;
  try {
    const tree = temml.__renderToMathMLTree(tex, {
      displayMode: isDisplay,
      throwOnError: true,
      trust: false,
      maxSize: [20, 40],
      maxExpand: 500,
    }) as MathNode;
    return toReact(tree, 0);
  } catch {
    return undefined;
  }
}

function toReact(node: MathNode, key: number): ReactNode {
  if (node.text !== undefined) return node.text;
  const children = node.children?.map(toReact);
  if (node.type === undefined) return children;
  if (!ELEMENTS.has(node.type)) return null;
  const className = node.classes?.join(' ');
  const props = { key, ...attributesOf(node), style: styleOf(node), ...(className ? { className } : {}) };
  return createElement(node.type, props, ...(children ?? []));
}

function attributesOf({ attributes = {} }: MathNode): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => ATTRIBUTES.has(name)));
}

function styleOf({ style = {} }: MathNode): CSSProperties {
  return Object.fromEntries(
    Object.entries(style).filter(([, value]) => !/url|image|expression/i.test(value)),
  );
}
