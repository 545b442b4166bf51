package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Corpus is a kind of text that people broadcast, for what depends on it: how well it can be
// compressed.
type Corpus struct {
	Name string
	// Next returns the data of the n-th event, which follows from r.
	Next func(r *rand.Rand, n int) string
}

// Corpora are updates of pages, prices, a chat in five languages and the tokens of a language
// model.
var Corpora = []Corpus{
	{"turbo", turboAppend},
	{"ticker", ticker},
	{"chat", chat},
	{"tokens", tokens},
}

// turboAppend is what Turbo broadcasts when somebody adds a comment: some 600 bytes.
func turboAppend(r *rand.Rand, n int) string {
	return fmt.Sprintf(`<turbo-stream action="append" target="comments"><template><article id="comment_%d" class="comment" data-controller="comment" data-comment-author-value="%d">
  <header class="comment__header"><img class="avatar" src="/rails/active_storage/representations/redirect/%016x/avatar.png" alt="%s" width="48" height="48">
  <a class="comment__author" href="/people/%d">%s</a> <time class="comment__time" datetime="2026-11-%02dT%02d:%02d:%02dZ" data-controller="time">just now</time></header>
  <div class="comment__body trix-content">%s</div>
</article></template></turbo-stream>`, 81000+n, r.IntN(400), r.Uint64(), name(r), r.IntN(400), name(r), 1+n/5000, n/200%24, n/4%60, r.IntN(60), sentence(r, words[0], 4+r.IntN(12)))
}

// ticker is a price: some 100 bytes.
func ticker(r *rand.Rand, n int) string {
	symbol := []string{"AAPL", "MSFT", "NVDA", "AMZN", "GOOG", "META", "TSLA", "BRK.B", "JPM", "SAP"}[r.IntN(10)]
	return fmt.Sprintf(`{"s":"%s","p":%.2f,"b":%.2f,"a":%.2f,"v":%d,"t":%d}`, symbol,
		80+400*r.Float64(), 80+400*r.Float64(), 80+400*r.Float64(), r.IntN(900)*100, 1795600000000+n*137+r.IntN(90))
}

// chat is a message of somebody in one of five languages.
func chat(r *rand.Rand, n int) string {
	return fmt.Sprintf(`{"id":"%08x","room":"lobby","user":{"id":%d,"name":"%s"},"text":"%s","at":"2026-11-25T%02d:%02d:%02dZ"}`,
		r.Uint32(), r.IntN(400), name(r), sentence(r, words[r.IntN(len(words))], 2+r.IntN(14)), n/3600%24, n/60%60, n%60)
}

// tokens is a token of an answer, as the usual interfaces of language models stream it.
func tokens(r *rand.Rand, n int) string {
	return fmt.Sprintf(`{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk","created":1795600%03d,"model":"model-2026-08-06","choices":[{"index":0,"delta":{"content":" %s"},"logprobs":null,"finish_reason":null}]}`,
		n/40%1000, words[0][r.IntN(len(words[0]))])
}

func name(r *rand.Rand) string {
	names := strings.Fields("Ada Grace Linus Barbara Edsger Dennis Frances Alan Margaret Ken Radia Tim Hedy Donald Joan Guido Katherine Niklaus Adele Leslie")
	return names[r.IntN(len(names))]
}

// sentence is n words.
func sentence(r *rand.Rand, words []string, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String() + "."
}

// words are those of texts in English, German, Russian, Japanese and Arabic.
var words = [][]string{
	strings.Fields("the of and to in is you that it he was for on are as with his they at be this from have or by one had not but what all were when we there can an your which their said if do will each about how up out them then she many some so these would other into has more her two like him see time could no make than first been its who now people my made over did down only way find use may water long little very after words called just where most know get through back much before go good new write our used me man too any day same right look think also around another came come work three word must because does part even place well such here take why help put years different away again off went old number great tell men say small every found still between name should home big give air line set own under read last never us left end along while might next sound below saw something thought both few those always looked show large often together asked house world going want school important until form food keep children feet land side without boy once animals life enough took sometimes four head above kind began almost live page got earth need far hand high year mother light parts country father let night following picture being study second eyes soon times story boys since white days ever paper hard near sentence better best across during today others however sure means knew try told young miles sun ways thing whole hear example heard several change answer room sea against top turned learn point city play toward five using himself usually money seen morning given"),
	strings.Fields("der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis mehr durch man sein wurde Prozent hatte kann gegen vom können schon wenn habe seine Mark ihre dann unter wir soll ich eines Jahr zwei Jahren diese dieser wieder keine Uhr seiner worden will zwischen immer Millionen was sagte gibt alle seit muss wurden beim doch jetzt waren drei Jahre neue neuen damit bereits da ihr seinen müssen ab ihrer ohne sondern selbst ersten nun etwa heute ihren weil ihm pro beiden während großen gestern"),
	strings.Fields("и в не на я быть он с что а по это она этот к но они мы весь который из у то за свой ты так от сказать год ещё как один для мочь вы сам время человек другой теперь большой день там рука раз где дело жизнь первый очень через стать слово идти потом можно под много здесь после дом тоже без вода новый каждый люди работа друг хорошо сегодня завтра вечером утром город улица никогда всегда может почему спасибо"),
	strings.Fields("今日は 明日 東京で 会議が あります ありがとう ございます 天気が いいです 仕事を 終わりました 電車が 遅れて います 昼ご飯を 食べましょう 新しい 機能を 試して ください 確認して おきます 質問が あります 少し 待って ください 来週の 予定を 教えて 会いましょう 本当に 楽しかった です 写真を 送ります"),
	strings.Fields("في من على أن إلى هذا كان مع التي عن الذي هو كل بعد بين قال يوم لا ما هذه ثم حتى أو كما عند لم قبل أكثر العمل اليوم غدا صباح مساء شكرا جزيلا الاجتماع الجديد المدينة البيت الوقت السؤال الجواب ممكن نعم لماذا كيف متى أين الناس جدا"),
}
