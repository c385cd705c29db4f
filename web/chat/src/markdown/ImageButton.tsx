import { ImageIcon } from 'lucide-react';
import { useState } from 'react';
import { safeImage } from './links.js';

interface ImageButtonProps {
  readonly address: string;
  readonly description: string;
}

/** An image of an answer is loaded only on demand: its address may tell the answer to somebody. */
export function ImageButton({ address, description }: ImageButtonProps) {
  const [state, setState] = useState<'BUTTON' | 'SHOWN' | 'FAILED'>('BUTTON');
  const url = safeImage(address);
  const name = description || 'Image';
  if (!url) return <span>{name}</span>;
  if (state === 'SHOWN') {
    return (
      <img
        className="image"
        src={url.href}
        alt={description}
        referrerPolicy="no-referrer"
        onError={() => {
          setState('FAILED');
        }}
      />
    );
  }
  if (state === 'FAILED') {
    return (
      <a href={url.href} target="_blank" rel="noopener noreferrer">
        {name}
      </a>
    );
  }
  return (
    <button
      type="button"
      className="image-button"
      onClick={() => {
        setState('SHOWN');
      }}
    >
      <ImageIcon aria-hidden size={16} />
      <span>
        Load image “{name}” from {url.host}
      </span>
    </button>
  );
}
