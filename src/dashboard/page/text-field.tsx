import type { InputHTMLAttributes } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** A text input that follows its value when that changes from elsewhere, and otherwise keeps what is being typed. */
export function TextField({ value, ...rest }: InputHTMLAttributes & { readonly value: string }) {
  const field = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (field.current !== null) field.current.value = value;
  }, [value]);
  return <input {...rest} ref={field} />;
}
