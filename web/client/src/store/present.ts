/** An object without the members that are null, undefined or empty. */
export function present<Members extends object>(members: Members): Present<Members> {
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => Boolean(value)),
  ) as Present<Members>;
}

export type Present<Members> = { readonly [Name in keyof Members]?: NonNullable<Members[Name]> };
