/** Inputs with their labels and hints. */
import { useId, type ReactNode } from 'react';

interface Props<Value extends string> {
  readonly label: string;
  readonly hint?: string;
  readonly value: Value;
  readonly onChange: (value: Value) => void;
}

interface TextProps extends Props<string> {
  readonly required?: boolean;
  readonly readOnly?: boolean;
  readonly inputMode?: 'decimal';
}

export function TextField({ label, hint, value, onChange, ...input }: TextProps) {
  const id = useId();
  return (
    <Labelled id={id} label={label} hint={hint}>
      <input
        id={id}
        className="field"
        dir="auto"
        spellCheck={false}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        value={value}
        onChange={(event) => {
          onChange(event.target.value);
        }}
        {...input}
      />
    </Labelled>
  );
}

interface AreaProps extends Props<string> {
  readonly rows: number;
  readonly isCode?: boolean;
}

export function AreaField({ label, hint, value, rows, isCode = false, onChange }: AreaProps) {
  const id = useId();
  return (
    <Labelled id={id} label={label} hint={hint}>
      <textarea
        id={id}
        className={isCode ? 'field field-code' : 'field'}
        dir={isCode ? 'ltr' : 'auto'}
        spellCheck={!isCode}
        rows={rows}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        value={value}
        onChange={(event) => {
          onChange(event.target.value);
        }}
      />
    </Labelled>
  );
}

interface SelectProps<Value extends string> extends Props<Value> {
  /** The text of each value. */
  readonly options: Readonly<Record<Value, string>>;
}

export function SelectField<Value extends string>({ label, value, options, onChange }: SelectProps<Value>) {
  const id = useId();
  return (
    <Labelled id={id} label={label} hint={undefined}>
      <select
        id={id}
        className="field"
        value={value}
        onChange={(event) => {
          onChange(event.target.value as Value);
        }}
      >
        {Object.entries<string>(options).map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </Labelled>
  );
}

interface LabelledProps {
  readonly id: string;
  readonly label: string;
  readonly hint: string | undefined;
  readonly children: ReactNode;
}

function Labelled({ id, label, hint, children }: LabelledProps) {
  return (
    <div className="labelled">
      <label htmlFor={id}>{label}</label>
      {children}
      {hint !== undefined && (
        <small id={`${id}-hint`} className="agents-detail">
          {hint}
        </small>
      )}
    </div>
  );
}
