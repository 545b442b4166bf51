# ruby turbo.rb URL SECRET_KEY_BASE NAME: broadcasts as Turbo does. Prints names that are
# signed for the stream NAME, the good ones first, each as a line of "kind name"; then
# broadcasts each line of standard input to the stream and prints what that returned.
require "logger"
require "active_support/all"
require "action_cable"

$stdout.sync = true
url, secret, name = ARGV
salt = "turbo/signed_stream_verifier_key"
keys = {
  "sha1" => ActiveSupport::KeyGenerator.new(secret, iterations: 1000).generate_key(salt),
  # as with the defaults of Rails 7.0
  "sha256" => OpenSSL::PKCS5.pbkdf2_hmac(secret, salt, 1000, 64, OpenSSL::Digest.new("SHA256")),
}
verifiers = keys.transform_values { |key| ActiveSupport::MessageVerifier.new(key, digest: "SHA256", serializer: JSON) }
verifiers.each { |kind, verifier| puts "#{kind} #{verifier.generate(name)}" }
old = ActiveSupport::MessageVerifier.new(keys["sha1"], digest: "SHA1", serializer: JSON)
puts "sha1-signature #{old.generate(name)}"
puts "lasting #{verifiers["sha1"].generate(name, expires_in: 1.hour)}"
puts "expired #{verifiers["sha256"].generate(name, expires_at: 1.hour.ago)}"
puts "purpose #{verifiers["sha256"].generate(name, purpose: "login")}"
puts "tampered #{verifiers["sha256"].generate(name).sub("--", "x--")}"

server = ActionCable.server
server.config.logger = Logger.new($stderr)
server.config.cable = { "adapter" => "redis", "url" => url }
while (html = $stdin.gets&.chomp)
  puts server.broadcast(name, html.gsub("\\n", "\n"))
end
