import { Check, ChevronDown } from 'lucide-react';
import { usePopup } from './popup.js';

export interface Option {
  readonly value: string;
  readonly label: string;
  readonly description?: string;
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly Option[];
  readonly onChange: (value: string) => void;
  readonly isDisabled?: boolean;
}

/** A button that opens a list of options, of which one is chosen. */
export function Choice({ label, value, options, onChange, isDisabled = false }: ChoiceProps) {
  const popup = usePopup('option');
  const chosen = options.find((option) => option.value === value);
  return (
    <>
      <button
        type="button"
        role="combobox"
        className="choice"
        aria-label={label}
        aria-haspopup="listbox"
        disabled={isDisabled}
        {...popup.button}
      >
        <span>{chosen?.label ?? value}</span>
        <ChevronDown aria-hidden size={14} />
      </button>
      <div className="popup" {...popup.list}>
        <div role="listbox" aria-label={label}>
          {options.map((option) => (
            <div
              key={option.value}
              role="option"
              aria-selected={option.value === value}
              tabIndex={-1}
              className="popup-item"
              {...(option.value === value && { 'data-first': '' })}
              onClick={() => {
                popup.close();
                onChange(option.value);
              }}
              onKeyDown={(event) => {
                if (event.key !== 'Enter' && event.key !== ' ') return;
                event.preventDefault();
                event.currentTarget.click();
              }}
            >
              <span>
                {option.label} {option.description !== undefined && <small>{option.description}</small>}
              </span>
              {option.value === value && <Check aria-hidden size={16} className="popup-check" />}
            </div>
          ))}
        </div>
      </div>
    </>
  );
}
