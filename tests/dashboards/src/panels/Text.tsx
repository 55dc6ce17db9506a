import { renderTextPanelMarkdown, textUtil } from '@grafana/data';

import { optionsOf } from '../defaults';
import { type Drawn } from './drawn';

export function Text({ panel, around }: Drawn) {
  const { content, mode } = optionsOf<{ content: string; mode: string }>(panel);
  const text = around.interpolate(content);
  if (mode === 'code') {
    throw new Error('Text panels in mode "code" are not drawn');
  }
  const html = mode === 'html' ? textUtil.sanitizeTextPanelContent(text) : renderTextPanelMarkdown(text);
  return <div className="markdown-html" style={{ height: '100%' }} dangerouslySetInnerHTML={{ __html: html }} />;
}
