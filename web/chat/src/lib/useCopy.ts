import { useEffect, useState } from 'react';

const SHOWN_FOR_MS = 2000;

/** Copies text to the clipboard. `isCopied` is true for two seconds after it has worked. */
export function useCopy(): { copy: (text: string) => void; isCopied: boolean } {
  const [copies, setCopies] = useState(0);
  const [isCopied, setIsCopied] = useState(false);
  useEffect(() => {
    if (copies === 0) return;
    const timer = setTimeout(() => {
      setIsCopied(false);
    }, SHOWN_FOR_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [copies]);
  const copy = (text: string) => {
    void writeText(text).then((isWritten) => {
      setIsCopied(isWritten);
      setCopies((count) => count + 1);
    });
  };
  return { copy, isCopied };
}

/** Pages that are not secure, such as one of a local network, have no clipboard. */
async function writeText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
