import type { LucideIcon } from 'lucide-react';
import { Check } from 'lucide-react';
import type { ReactNode } from 'react';
import { usePopup } from './popup.js';

export interface MenuItem {
  readonly label: string;
  readonly icon?: LucideIcon;
  readonly isDangerous?: boolean;
  /** For an item of a choice. */
  readonly isChecked?: boolean;
  readonly onSelect: () => void;
}

interface MenuProps {
  /** The name of the button. */
  readonly label: string;
  readonly className: string;
  readonly children: ReactNode;
  readonly items: readonly MenuItem[];
  /** Above the items. */
  readonly heading?: ReactNode;
}

/** A button that opens a menu. */
export function Menu({ label, className, children, items, heading }: MenuProps) {
  const popup = usePopup('menuitem');
  return (
    <>
      <button type="button" className={className} aria-label={label} aria-haspopup="menu" {...popup.button}>
        {children}
      </button>
      <div className="popup" {...popup.list}>
        {heading}
        <div role="menu" aria-label={label}>
          {items.map((item) => (
            <Item key={item.label} item={item} close={popup.close} />
          ))}
        </div>
      </div>
    </>
  );
}

function Item({ item, close }: { item: MenuItem; close: () => void }) {
  const { label, icon: Icon, isDangerous, isChecked, onSelect } = item;
  const role =
    isChecked === undefined ? { role: 'menuitem' } : { role: 'menuitemradio', 'aria-checked': isChecked };
  return (
    <button
      type="button"
      {...role}
      tabIndex={-1}
      className={isDangerous ? 'popup-item dangerous' : 'popup-item'}
      onClick={() => {
        close();
        onSelect();
      }}
    >
      {Icon && <Icon aria-hidden size={16} />}
      <span>{label}</span>
      {isChecked && <Check aria-hidden size={16} className="popup-check" />}
    </button>
  );
}
