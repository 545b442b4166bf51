package report

import (
	_ "embed"
	"html/template"
	"io"
	"time"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"time":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"duration": func(s float64) time.Duration { return time.Duration(s * float64(time.Second)).Round(time.Second) },
}).Parse(pageText))

// WriteHTML writes the document as a page that needs nothing else.
func (d *Document) WriteHTML(w io.Writer) error {
	plots, err := d.plots()
	if err != nil {
		return err
	}
	return page.Execute(w, struct {
		*Document
		Plots []plotted
	}{d, plots})
}
