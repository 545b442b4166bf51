# Prints tokens of each algorithm, made by ruby-jwt: tokens.rb DIRECTORY CLAIMS...
require "json"
require "jwt"

directory, *texts = ARGV
read = ->(name) { File.read(File.join(directory, name)) }
rsa = OpenSSL::PKey.read(read["rsa.pem"])
{ "HS256" => read["secret"], "RS256" => rsa, "PS256" => rsa, "ES256" => OpenSSL::PKey.read(read["ec.pem"]) }.each do |algorithm, key|
  texts.each { |text| puts "#{algorithm} #{JWT.encode(JSON.parse(text), key, algorithm)}" }
end
